"""Users, profiles, roles and the organization's own row: what a new org has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.apex_runtime.org.derived import derive, stamp
from tests.apex_runtime.org.field_values import default_value, record_of
from tests.apex_runtime.values import Id

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.values import Value

_LOCALE: Final = {
    "TimeZoneSidKey": "GMT",
    "LocaleSidKey": "en_US",
    "EmailEncodingKey": "UTF-8",
    "LanguageLocaleKey": "en_US",
}


class Users:
    """Writes setup rows without DML: no trigger fires, nothing counts."""

    def __init__(self, org: Org, *, is_sandbox: bool) -> None:
        self._org = org
        self.admin_profile = self._put("Profile", {"Name": "System Administrator"})
        self.standard_profile = self._put("Profile", {"Name": "Standard User"})
        self._organization(is_sandbox=is_sandbox)
        self.admin = self.add("admin@example.com", ProfileId=self.admin_profile)
        self.automated_process = self.add(
            "automatedprocess@example.com", ProfileId=self.standard_profile, FirstName="Automated"
        )
        self._set_type(self.automated_process, "AutomatedProcess")

    def add(self, username: str, **fields: object) -> Id:
        """Add a user; `Id` may be given, whatever else is required has a default."""
        name = username.partition("@")[0]
        given: dict[str, Any] = {
            "Username": username,
            "Email": username,
            "LastName": name,
            "Alias": name[:8],
            "ProfileId": self.standard_profile,
            **_LOCALE,
            **fields,
        }
        user_id = self._put("User", given)
        self._set_type(user_id, "Standard")
        return user_id

    def add_role(self, name: str) -> Id:
        """Add a role."""
        return self._put("UserRole", {"Name": name})

    def by_username(self, username: str) -> Id:
        """Return the id of a user, by the name in any case."""
        for row in self._org.store.rows("User"):
            if str(row["Username"]).lower() == username.lower():
                return Id(str(row["Id"]))
        raise KeyError(username)

    def row(self, user_id: str) -> Row:
        """Return a user's row."""
        row = self._org.store.get("User", user_id)
        if row is None:
            raise KeyError(user_id)
        return row

    def _put(self, type_name: str, given: dict[str, Any]) -> Id:
        """Store a setup row."""
        kind = self._org.catalog[type_name]
        record_id = Id(given.pop("Id", None) or self._org.store.new_id(kind.prefix))
        fields = {each.name: default_value(each) for each in kind.definitions.values()}
        fields |= record_of(kind, given).fields
        stamp(fields, kind, record_id, self._org.clock.now_ms, created=True)
        derive(kind, fields, self._org.store)
        row: dict[str, Value] = {n: v for n, v in fields.items() if v is not None}
        self._org.store.put(type_name, record_id, {**row, "Id": record_id})
        self._org.store.commit()
        return record_id

    def _set_type(self, user_id: Id, user_type: str) -> None:
        self._org.store.put("User", user_id, {**self.row(user_id), "UserType": user_type})
        self._org.store.commit()

    def _organization(self, *, is_sandbox: bool) -> None:
        """Store the Organization row, of which there is one."""
        row: dict[str, Value] = {
            "Id": Id(self._org.org_id),
            "Name": "Example",
            "IsSandbox": is_sandbox,
            "OrganizationType": self._org.edition.value,
            "InstanceName": "EU0",
        }
        self._org.store.put("Organization", self._org.org_id, row)
        self._org.store.commit()
