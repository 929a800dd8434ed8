"""Which answer belongs to which wish: the dialog alone, without a socket."""

from gapless.controller.exchange import Rejected, Subscribed
from gapless.controller.stream_ledger import StreamLedger
from gapless.controller.subscription import Subscription
from gapless.controller.subscription_dialog import SubscriptionDialog
from tests.kit import ETHER, TICKER


def wish(dialog: SubscriptionDialog, *desired: Subscription) -> str:
    """Ask for what is desired and not asked for yet; the id of the request."""
    change = dialog.change(desired)
    dialog.ended(change.end)
    request_id = dialog.next_id()
    dialog.asked(request_id, change.begin)
    return request_id


def ticker() -> Subscription:
    return Subscription(stream=TICKER, ledger=StreamLedger(), is_account=False, healable=True)


def ether() -> Subscription:
    return Subscription(stream=ETHER, ledger=StreamLedger(), is_account=False, healable=True)


def test_an_answer_to_an_older_wish_for_the_same_stream_counts_no_more() -> None:
    dialog, other = SubscriptionDialog("s"), ether()
    first = wish(dialog, ticker(), other)
    wish(dialog, other)
    second = wish(dialog, ticker(), other)
    assert dialog.taken(Subscribed(request_id=first, marks={TICKER: 7, ETHER: 3})) == {ETHER: 3}
    assert not dialog.all_answered
    assert dialog.taken(Subscribed(request_id=second, marks={TICKER: 9})) == {TICKER: 9}
    assert dialog.all_answered


def test_a_stream_that_was_refused_may_be_taken_after_all() -> None:
    dialog = SubscriptionDialog("s")
    request_id = wish(dialog, ticker(), ether())
    dialog.refused(Rejected(request_id=request_id, streams=[TICKER], code="busy", message=""))
    assert dialog.taken(Subscribed(request_id=request_id, marks={ETHER: 3})) == {ETHER: 3}
    assert dialog.all_answered
    assert dialog.taken(Subscribed(request_id=request_id, marks={TICKER: 7})) == {TICKER: 7}


def test_an_answer_that_names_no_request_is_taken_as_it_is() -> None:
    dialog = SubscriptionDialog("s")
    wish(dialog, ticker())
    assert dialog.taken(Subscribed(request_id=None, marks={TICKER: 7})) == {TICKER: 7}
    assert dialog.all_answered


def test_an_answer_without_marks_takes_everything_that_waits() -> None:
    dialog = SubscriptionDialog("s")
    request_id = wish(dialog, ticker(), ether())
    assert dialog.taken(Subscribed(request_id=request_id, marks=None)) == {TICKER: None, ETHER: None}
    assert dialog.all_answered
