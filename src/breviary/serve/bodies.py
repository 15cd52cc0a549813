"""What the body of a request asks for: JSON, or a form with a file. All that is wrong with it is said at once."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as FormError

from breviary.errors import BreviaryError
from breviary.serve.schema import Asked

Read = Callable[[str, bytes], str]  # a file's name and bytes -> its text; raises DataError
NUMBERS = ("max_tokens", "max_ms")
FORM = {  # the same as Asked, with a file in the place of the text
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        **{name: {"type": "string"} for name in Asked.model_fields if name != "text"},
    },
}
DESCRIBED = {
    "required": True,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Asked"}},
        "multipart/form-data": {"schema": FORM},
    },
}


async def asked(request: Request, read: Read) -> tuple[Asked, str | None]:
    """What is asked for, and the text of the file if one came. Raises HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _checked(await _json(request)), None
    if kind != "multipart/form-data":
        raise HTTPException(415, "send application/json, or multipart/form-data with a file")
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            return await _of_form(dict(form), read)
    except FormError as error:
        if isinstance(error, HTTPException):
            raise
        raise HTTPException(400, f"this form cannot be read: {error.detail}") from None


async def _of_form(form: dict[str, Any], read: Read) -> tuple[Asked, str]:
    file = form.pop("file", None)
    if not isinstance(file, UploadFile):
        raise HTTPException(422, "file: a form must bring one; text alone is sent as JSON")
    try:
        text = await asyncio.to_thread(read, file.filename or "", await file.read())
    except BreviaryError as error:
        raise HTTPException(422, str(error)) from None
    fields = {name: value for name, value in form.items() if value != ""}
    numbers = {
        name: int(fields[name])
        for name in NUMBERS
        if str(fields.get(name)).isascii() and str(fields.get(name)).isdigit()
    }
    return _checked(fields | numbers | {"text": text}), text


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:  # of JSON, and of its UTF-8
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    except RecursionError:
        raise HTTPException(400, "the body is nested too deeply") from None


def _checked(values: Any) -> Asked:
    """The request, if every field of it is right. Raises HTTPException naming each that is not."""
    try:
        found = Asked.model_validate(values)
    except ValidationError as error:
        said = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise HTTPException(422, "; ".join(said)) from None
    if not found.text.strip():
        raise HTTPException(422, "text: there is nothing to summarise in white space alone")
    return found
