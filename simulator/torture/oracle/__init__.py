"""The promises, each watched from outside the controller."""
