# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of users of a password file: its form, and its problems."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import kind_of, text_problem, user_problems
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import LONGEST_PASSWORD, MAX_COST, MIN_COST, scheme_of

USER_KEYS = ("name", "password", "password_hash", "state")
_READY = ("bcrypt", "sha512-crypt", "apr1")


@dataclass(frozen=True)
class User:
    """One wanted entry. Absent users have neither password nor hash."""

    name: bytes
    absent: bool = False
    password: bytes | None = field(default=None, repr=False)
    password_hash: bytes | None = field(default=None, repr=False)


def problems(users: t.Any, *, parameter: str = "users", secret_required: bool = True) -> list[str]:
    """Everything that is wrong with a list of users, each with its place. Never contains a password or a hash.

    Without secret_required, an entry may lack both password and password_hash: something else will make one up.
    """
    if not isinstance(users, (list, tuple)):
        return [f"{parameter}: must be a list of dictionaries such as {{name: alice}}, not {kind_of(users)}"]
    found: list[str] = []
    seen: dict[str, str] = {}
    for index, user in enumerate(users):
        place = f"{parameter}[{index}]"
        if not isinstance(user, dict):
            found.append(f"{place}: must be a dictionary such as {{name: alice}}, not {kind_of(user)}")
            continue
        unknown = [key for key in user if key not in USER_KEYS]
        found += [f"{place}: unknown key {key!r}; there are {', '.join(USER_KEYS)}" for key in unknown]
        name = user.get("name")
        if name is None:
            found.append(f"{place}.name: is missing")
        else:
            found += [f"{place}.name: {problem}" for problem in user_problems(name)]
            if isinstance(name, str) and seen.setdefault(name, f"{place}.name") != f"{place}.name":
                found.append(f"{place}.name: {name!r} is listed before as {seen[name]}; list each user once")
        state = user.get("state")
        if state not in (None, "present", "absent"):
            found.append(f"{place}.state: must be present or absent")
        elif state != "absent":
            found += _secret_problems(user, place, secret_required)
    return found


def checked_users(users: list[dict[str, t.Any]]) -> list[User]:
    """The users of a list. Raises HoldfastError with everything that is wrong."""
    found = problems(users)
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


def _secret_problems(user: dict[str, t.Any], place: str, required: bool) -> list[str]:
    empty = [key for key in ("password", "password_hash") if key in user and user[key] is None]
    if empty:  # a variable that is not set, or an empty value of a vault: nothing that anybody meant
        return [f"{place}.{empty[0]}: has no value; give it one, or leave the key out"]
    keys = [key for key in ("password", "password_hash") if key in user]
    if len(keys) == 2:
        return [f"{place}: password and password_hash exclude each other, give one of them"]
    if not keys:
        return [f"{place}: needs a password or a password_hash"] if required else []
    value = user[keys[0]]
    problem = text_problem(value) or (_password_problem(value) if keys == ["password"] else _hash_problem(value))
    return [f"{place}.{keys[0]}: {problem}"] if problem else []


def _password_problem(password: str) -> str | None:
    length = len(password.encode())
    return f"is {length} bytes long in UTF-8, at most {LONGEST_PASSWORD} are possible with bcrypt" if length > LONGEST_PASSWORD else None


def _hash_problem(ready: str) -> str | None:
    scheme = scheme_of(ready.encode())
    if scheme.name in _READY and (scheme.name != "bcrypt" or (scheme.cost or 0) <= MAX_COST):
        return None
    return f"is not a hash of bcrypt ($2y$, $2b$ or $2a$, cost at most {MAX_COST}), sha512-crypt ($6$) or apr1 ($apr1$)"
