"""Sessions in signed cookies, and the tokens that prove a form to be ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

import msgspec
from itsdangerous import BadData, Signer, URLSafeTimedSerializer

if TYPE_CHECKING:
    from aiohttp import web

    from pipeline.settings import Console

_HOUR_S: Final = 3600
# A sign-in form need not be good for longer.
_VISIT_S: Final = _HOUR_S
_PLAIN_NAME: Final = "penstock_session"
# Browsers take a name with this prefix only over https and for this very host.
_SECURE_NAME: Final = "__Host-penstock_session"


class Session(msgspec.Struct, frozen=True):
    """What a cookie holds. Without a `token_id` it is a visitor's, whose only use is to sign in."""

    nonce: str
    token_id: str | None = None


class Sessions:
    """Writes and reads sessions.

    They are signed, not stored: one is good until it ends by time, or the token that began it is
    revoked, which is asked of the database with every request.
    """

    def __init__(self, settings: Console) -> None:
        key = settings.session_key.value or secrets.token_hex(32)
        self._serializer = URLSafeTimedSerializer(
            key,
            salt="penstock console session",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )
        self._signer = Signer(
            key, salt="penstock console form", digest_method=hashlib.sha256, key_derivation="hmac"
        )
        self._length_s = settings.session_hours * _HOUR_S
        self._secure = bool(settings.public_url)
        self._name = _SECURE_NAME if self._secure else _PLAIN_NAME

    def read(self, request: web.Request) -> Session | None:
        """Return the request's session; None if it has none, or one that is over or not ours."""
        text = request.cookies.get(self._name, "")
        try:
            session = msgspec.convert(self._serializer.loads(text, max_age=self._length_s), Session)
            if session.token_id is None:
                self._serializer.loads(text, max_age=_VISIT_S)
        except (BadData, msgspec.ValidationError):
            return None
        return session

    def begin(self, token_id: str | None = None) -> Session:
        """Return a new session, a visitor's or a token's."""
        return Session(secrets.token_urlsafe(16), token_id)

    def give(self, response: web.StreamResponse, session: Session) -> None:
        """Have the browser keep a session."""
        response.set_cookie(
            self._name,
            self._serializer.dumps(msgspec.to_builtins(session)),
            max_age=_VISIT_S if session.token_id is None else self._length_s,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )

    def end(self, response: web.StreamResponse) -> None:
        """Have the browser forget its session."""
        response.del_cookie(
            self._name, path="/", secure=self._secure, httponly=True, samesite="Strict"
        )

    def form_token(self, session: Session) -> str:
        """Return what every form of a session carries."""
        return self._signer.get_signature(session.nonce).decode()

    def is_form_token(self, session: Session, text: str) -> bool:
        """Tell, in constant time, whether a form is this session's own."""
        return hmac.compare_digest(text.encode(), self.form_token(session).encode())
