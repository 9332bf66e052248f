"""Shapes of item statuses, folders and comments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from dunning.ledger.comment_store import ItemComment
from dunning.ledger.rows import Code
from dunning.ledger.status_store import Folder, ItemStatus
from dunning_api.schemas.base import Input, LongText, Output, Text

Category = Literal["ongoing", "promised", "disputed", "dispute_resolved", "litigation", "uncollectible"]
FollowUpDays = Annotated[
    int, Field(ge=0, le=366, description="After how many calendar days an item that gets this status is followed up by a task; null: never by itself.")
]
Position = Annotated[int, Field(ge=0, le=10_000, description="Its place among the others.")]


class StatusCreate(Input):
    """A status of your own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "with_lawyer", "name": "With our lawyer", "category": "litigation", "excludes": True, "follow_up_days": 30,
                    "folder_code": "litigation", "position": 10,
                }
            ]
        }
    )  # fmt: skip

    code: Code
    name: Text
    category: Annotated[Category, Field(description="What it means. Statuses of the category `disputed` are set by disputes only.")]
    excludes: Annotated[bool, Field(description="Whether items with this status are left out of reminding.")] = False
    follow_up_days: FollowUpDays | None = None
    folder_code: Annotated[Code | None, Field(description="The folder in which its items lie; null: none.")] = None
    position: Position = 0

    def status(self) -> ItemStatus:
        """Return it as the domain has it."""
        return ItemStatus(**self.model_dump(), version=1)


class StatusUpdate(Input):
    """What is to change; what is left out stays. Code and category are for good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "With counsel", "follow_up_days": 21}]})

    name: Text = Field(default="")
    excludes: bool = Field(default=False)
    follow_up_days: FollowUpDays | None = None
    folder_code: Code | None = None
    position: Position = Field(default=0)

    def fields(self) -> dict[str, Any]:
        """Return what was given."""
        return self.given()


class StatusOut(Output):
    """An item status."""

    code: str
    name: str
    category: str
    excludes: bool
    follow_up_days: int | None
    folder_code: str | None
    position: int
    version: int

    @classmethod
    def of(cls, status: ItemStatus) -> StatusOut:
        """Show a status."""
        return cls.model_validate(status)


class FolderPut(Input):
    """How a folder is called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "For counsel", "position": 4}]})

    name: Text
    position: Position = 0


class FolderOut(Output):
    """A folder, with the statuses whose items lie in it."""

    code: str
    name: str
    position: int
    status_codes: list[str]

    @classmethod
    def of(cls, folder: Folder) -> FolderOut:
        """Show a folder."""
        return cls.model_validate(folder)


class FolderMove(Input):
    """Items to be filed in a folder, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item_ids": ["0198c0de-0000-7000-8000-000000000001"], "reason": "Insolvency was opened on 1 March."}]}
    )

    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)]
    reason: LongText


class FolderMoved(Output):
    """What moving did: the status that the items have now, and how many of them were marked."""

    folder_code: str
    status_code: str
    items: int


class CommentCreate(Input):
    """A comment."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Ms Rossi says the goods arrived on 3 March."}]})

    text: LongText


class CommentOut(Output):
    """What was said of an item: a comment, a status that was set, or both. `ongoing` stands for no status. Never changed or removed. `author` is the name behind `actor`."""

    item_comment_id: UUID
    ledger_id: UUID
    customer_id: UUID
    item_id: UUID
    status_code: str | None
    previous_status_code: str | None
    text: str | None
    source: str
    source_id: UUID | None
    actor: str
    author: str
    business_at: dt.datetime
    recorded_at: dt.datetime

    @classmethod
    def of(cls, comment: ItemComment, names: Mapping[str, str]) -> CommentOut:
        """Show a comment with the name of who wrote it."""
        return cls(**{name: getattr(comment, name) for name in cls.model_fields if name != "author"}, author=names.get(comment.actor, comment.actor))
