"""What a test of an app needs: a world on virtual time, and the contract to hold against what the app saw."""
