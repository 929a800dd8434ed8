"""Exception groups, back to the one that matters."""

import trio

from gapless.controller.groups import unwrapped


async def group_of(*errors: Exception) -> BaseExceptionGroup[BaseException]:
    """What a nursery in a nursery makes of tasks that raise."""

    async def fail(error: Exception) -> None:
        raise error

    try:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(trio.sleep_forever)
            for error in errors:
                inner.start_soon(fail, error)
    except BaseExceptionGroup as group:
        return group
    raise AssertionError("nothing was raised")


async def test_the_only_one_is_taken_out_of_every_layer() -> None:
    error = ValueError("one")
    assert unwrapped(await group_of(error)) is error


async def test_several_stay_a_group() -> None:
    errors = ValueError("one"), KeyError("two")
    inner = unwrapped(await group_of(*errors))
    assert isinstance(inner, BaseExceptionGroup)
    assert set(inner.exceptions) == set(errors)


async def test_an_apps_own_group_with_one_exception_is_unwrapped_too() -> None:
    error = ValueError("one")
    assert unwrapped(await group_of(ExceptionGroup("an app's", [error]))) is error


async def test_cancellations_alone_stay_as_they_are() -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            group = BaseExceptionGroup("cancelled", [cancelled])
            assert unwrapped(group) is group
            raise
    assert scope.cancelled_caught
