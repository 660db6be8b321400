"""The local stack: private RabbitMQ and PostgreSQL, and child processes kept running.

`LocalStack` is what `penstock up` runs inside; `discover` is how other commands find it.
"""

from __future__ import annotations

from ops.stack.children import Child, ChildFailed, Said, Supervised, Supervisor
from ops.stack.errors import StackError
from ops.stack.home import Home, discover
from ops.stack.local import LocalStack
from ops.stack.postgres import PrivatePostgres
from ops.stack.rabbitmq import PrivateRabbitMQ

__all__ = [
    "Child",
    "ChildFailed",
    "Home",
    "LocalStack",
    "PrivatePostgres",
    "PrivateRabbitMQ",
    "Said",
    "StackError",
    "Supervised",
    "Supervisor",
    "discover",
]
