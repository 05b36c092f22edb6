"""What the application works with: orders are in the local database, users on the remote server."""

from sqlalchemy import Column, DateTime, Integer, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Order(Base):
    """A row of a local table."""

    __tablename__ = "orders"
    __table_args__ = {"schema": "app"}
    __mapper_args__ = {"eager_defaults": True}

    id = Column(Integer, primary_key=True)
    user_id = Column(Integer, nullable=False)
    item = Column(Text, nullable=False)
    price = Column(Numeric(12, 2), nullable=False)


class User(Base):
    """A user of the remote server.

    There is no such table here.  ``queries.users`` has the statement that such rows are loaded from, for
    ``select(User).from_statement(...)``; they are for reading: to change a user is a remote statement of its own.
    """

    __table__ = Table(
        "remote_user",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("created", DateTime(timezone=True), nullable=False),
        Column("credit", Numeric(12, 2), nullable=False),
        Column("tags", ARRAY(Text), nullable=False),
        Column("profile", JSONB, nullable=False),
        schema="app",
    )


class NewUser(Base):
    """One of the latest users, mapped over a view that calls ``execute_as``: plain ``select(NewUser)`` works."""

    __tablename__ = "new_users"
    __table_args__ = {"schema": "app"}

    id = Column(Integer, primary_key=True)
    name = Column(Text, nullable=False)
    email = Column(Text, nullable=False)
    created = Column(DateTime(timezone=True), nullable=False)
    credit = Column(Numeric(12, 2), nullable=False)
    tags = Column(ARRAY(Text), nullable=False)
    profile = Column(JSONB, nullable=False)
