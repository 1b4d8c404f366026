# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of users of a password file: what it must look like, and what is wrong with it."""

from __future__ import annotations

import typing as t
import unicodedata
from dataclasses import dataclass, field

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.password_hashes import MAX_COST, MIN_COST, SCHEMES, scheme_of

USER_KEYS = ("name", "password", "password_hash", "state")


@dataclass(frozen=True)
class User:
    """One wanted entry. Absent users have neither password nor hash."""

    name: bytes
    absent: bool = False
    password: bytes | None = field(default=None, repr=False)
    password_hash: bytes | None = field(default=None, repr=False)


def problems(users: t.Any, scheme: str = "bcrypt", parameter: str = "users", secret_required: bool = True) -> list[str]:
    """Everything that is wrong with a list of users, each with its place. Never contains a password or a hash.

    Without secret_required, an entry may lack both password and password_hash: something else will make one up.
    """
    if scheme not in SCHEMES:
        return [f"scheme: must be one of {', '.join(SCHEMES)}"]
    if not isinstance(users, (list, tuple)):
        return [f"{parameter}: must be a list of dictionaries such as {{name: alice}}, not {_kind(users)}"]
    found: list[str] = []
    seen: dict[str, str] = {}
    for index, user in enumerate(users):
        place = f"{parameter}[{index}]"
        if not isinstance(user, dict):
            found.append(f"{place}: must be a dictionary such as {{name: alice}}, not {_kind(user)}")
            continue
        unknown = [key for key in user if key not in USER_KEYS]
        found += [f"{place}: unknown key {key!r}; there are {', '.join(USER_KEYS)}" for key in unknown]
        name = user.get("name")
        if name is None:
            found.append(f"{place}.name: is missing")
        else:
            found += [f"{place}.name: {problem}" for problem in name_problems(name)]
            if isinstance(name, str) and seen.setdefault(name, f"{place}.name") != f"{place}.name":
                found.append(f"{place}.name: {name!r} is listed before as {seen[name]}; list each user once")
        state = user.get("state")
        if state not in (None, "present", "absent"):
            found.append(f"{place}.state: must be present or absent")
        elif state != "absent":
            found += _secret_problems(user, scheme, place, secret_required)
    return found


def checked_users(users: list[dict[str, t.Any]], scheme: str) -> list[User]:
    """The users as the rest of this file wants them. Raises HoldfastError with everything that is wrong."""
    found = problems(users, scheme)
    if found:
        raise HoldfastError("; ".join(found))
    result = []
    for user in users:
        name, absent = user["name"].encode(), user.get("state") == "absent"
        password, ready = (None, None) if absent else (user.get("password"), user.get("password_hash"))
        result.append(User(name, absent, None if password is None else password.encode(), None if ready is None else ready.encode()))
    return result


def check_cost(cost: int) -> None:
    """Refuse a bcrypt cost that htpasswd(1) would refuse too."""
    if not MIN_COST <= cost <= MAX_COST:
        raise HoldfastError(f"bcrypt_cost: {cost} is not between {MIN_COST} and {MAX_COST}")


def _kind(value: t.Any) -> str:
    for kind, name in ((bool, "a boolean"), (int, "a number"), (float, "a number"), (str, "a string"), (dict, "a dictionary"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "empty" if value is None else "something else"


def _text_problem(value: t.Any) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {_kind(value)}: put it in quotes"
    if not value:
        return "must not be empty"
    categories = {unicodedata.category(character) for character in value}
    if "Cc" in categories:
        return "must not contain control characters such as a new line or a tab"
    return "is not valid Unicode text" if "Cs" in categories else None


def name_problems(name: t.Any) -> list[str]:
    """What is wrong with the name of a user."""
    problem = _text_problem(name)
    if problem:
        return [problem]
    found = []
    if ":" in name:
        found.append(f"{name!r} must not contain a colon")
    if name.startswith("#"):
        found.append(f"{name!r} must not begin with '#', which begins a comment")
    if name != name.strip():
        found.append(f"{name!r} must not begin or end with white space")
    if len(name.encode()) > 255:
        found.append(f"is {len(name.encode())} bytes long in UTF-8, at most 255 are allowed")
    return found


def _secret_problems(user: dict[str, t.Any], scheme: str, place: str, required: bool) -> list[str]:
    password, ready = user.get("password"), user.get("password_hash")
    if password is not None and ready is not None:
        return [f"{place}: password and password_hash exclude each other, give one of them"]
    if password is None and ready is None:
        return [f"{place}: needs a password or a password_hash"] if required else []
    key = "password" if ready is None else "password_hash"
    problem = _text_problem(user[key])
    if not problem and ready is None:
        length, limit = len(password.encode()), 72 if scheme == "bcrypt" else 255
        if length > limit:
            problem = f"is {length} bytes long in UTF-8, at most {limit} are possible with scheme {scheme}"
    elif not problem:
        found, cost = scheme_of(ready.encode())
        if found not in SCHEMES or (found == "bcrypt" and cost > MAX_COST):
            problem = f"is not a hash of bcrypt ($2y$, $2b$ or $2a$, cost at most {MAX_COST}), sha512-crypt ($6$) or apr1 ($apr1$)"
    return [f"{place}.{key}: {problem}"] if problem else []
