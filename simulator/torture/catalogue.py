"""Every fault class there is: importing the modules that define them fills the table."""

from gapless.simulator.torture import (
    faults_of_the_client,
    faults_of_the_exchange,
    faults_of_the_instant,
    faults_of_the_network,
)
from gapless.simulator.torture.faults import FAULTS

__all__ = [
    "FAULTS",
    "faults_of_the_client",
    "faults_of_the_exchange",
    "faults_of_the_instant",
    "faults_of_the_network",
]
