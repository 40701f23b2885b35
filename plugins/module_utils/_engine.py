# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine: observe, plan, apply. PRIVATE to the collection.

Every module is a Subject. The whole plan is made from reads alone, before the first write; `changed`, check mode and
the diff are derived from it. This is the only file that knows Ansible's module object and check mode.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, cast

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError

from . import _addresses, _credentials, _forms
from ._diff import rendered
from ._given import as_data, given

UNKNOWN = "(known after apply)"
"""Stands for an id that a create in the same run will return. Options accept it in check mode."""

ATTEMPTS = 5
"""How often to plan again after somebody else wrote first."""

D = TypeVar("D")
C = TypeVar("C")
G = TypeVar("G", bound="Gateway")
K = TypeVar("K")
P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Made = Mapping[str, Any]
Report = Callable[[str], None]


class Gateway(Protocol):
    def close(self) -> None:
        """Close everything that is kept open between calls."""


class Failure(Exception):
    """A sentence that the user can act on."""


class CallFailed(Failure):
    """A call to an outside system failed for good.

    within: the message as it continues a sentence that already says what failed, empty for none; unsure: the write may
    have been done all the same, because its answer was lost.
    """

    def __init__(self, message: str, within: str = "", unsure: bool = False) -> None:
        super().__init__(message)
        self.within = within
        self.unsure = unsure


class PartlyDone(CallFailed):
    """A call that failed after it had changed something.

    left: what it left, such as "revision 2 of Helm release castai-agent, which is failed".
    """

    def __init__(self, message: str, left: str) -> None:
        super().__init__(message)
        self.left = left


class Conflict(Failure):
    """Somebody else wrote first: observe and plan again."""

    pause = 0.1
    """Maximum seconds before the next attempt, multiplied by the number of attempts so far."""


class Again(Conflict):
    """An action is done, and what follows can only be observed and planned now."""

    pause = 0.0


class Throttled(Conflict):
    """A program that others wrote was throttled until it gave up: observe and plan again, after a longer pause.

    What it left half done and the next attempt completes is one change, reported as it was first planned.
    """

    pause = 10.0


class Refused(Failure):
    """The input is wrong, the plan is unsafe, or reality differs from what the user said. Raised in check mode too.

    findings: the reasons one by one, if there can be several.
    """

    def __init__(self, message: str, findings: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


def numbered(findings: Sequence[str]) -> str:
    """Reasons as one text: (1) ... (2) ...; a single one without a number."""
    return findings[0] if len(findings) == 1 else " ".join(f"({n}) {text}" for n, text in enumerate(findings, 1))


class Unwritable(Refused):
    """The credentials lack permissions that only writing needs: a run is refused, while a plan continues with a
    warning.

    lacks: what is missing, in sentences, which are among the findings; rest: the refusal without them, None if nothing
    else is wrong.
    """

    def __init__(
        self, message: str, findings: tuple[str, ...], lacks: tuple[str, ...], rest: Refused | None = None
    ) -> None:
        super().__init__(message, findings)
        self.lacks = lacks
        self.rest = rest


class Stopped(Failure):
    """A run that ended part-way.

    applied: the sentences of the completed actions, in order. left: what the failed one left, or an empty text.
    """

    def __init__(self, message: str, applied: tuple[str, ...], left: str = "") -> None:
        super().__init__(message)
        self.applied = applied
        self.left = left


@dataclass(frozen=True)
class Action:
    """One write, as data. Subclasses add their payload (secrets with repr=False) and run().

    sentence: what a person reads, in the imperative.
    target: the object, for the diff.
    before, after: public values, None for absent.
    """

    sentence: str
    target: str
    before: Any = None
    after: Any = None

    def run(self, gateway: Any, made: Made) -> Mapping[str, Any] | None:
        """Do it. Returns values that later actions and the result need (ids), by name."""
        raise NotImplementedError


@dataclass(frozen=True)
class Kept:
    """An object that a plan keeps although it was to be removed, and why. It is listed with the actions, but nothing is
    run for it."""

    thing: str
    why: str


@dataclass(frozen=True)
class Plan:
    """The actions in order, and what is kept, in words."""

    actions: tuple[Action, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Action | Kept]) -> Plan:
        every = tuple(parts)
        return cls(
            tuple(one for one in every if isinstance(one, Action)),
            tuple(f"{one.thing}: {one.why}" for one in every if isinstance(one, Kept)),
        )

    def shown(self, made: Made) -> Made:
        """What view() is given: what was created, and what is kept."""
        return {**made, "kept": self.kept} if self.kept else made


@dataclass(frozen=True)
class Result:
    """What a run did or, in check mode, would do."""

    actions: tuple[Action, ...]
    view: Mapping[str, Any]

    @property
    def changed(self) -> bool:
        return bool(self.actions)

    def public(self, diff: bool, mask: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
        """The module's result, without invocation.

        mask: takes secrets out of a value. The diff's text may have one in another spelling, quoted or over two lines,
        so it is taken out before.
        """
        result: dict[str, Any] = {
            "changed": self.changed,
            "actions": [action.sentence for action in self.actions],
            "changes": _by_kind(self.actions),
            **self.view,
        }
        if diff:
            result["diff"] = [
                rendered(action.target, action.sentence, mask(action.before), mask(action.after))
                for action in self.actions
            ]
        return result


def _by_kind(actions: Iterable[Action]) -> dict[str, list[str]]:
    """The targets of the actions, each once, by what happens to them."""
    kinds: dict[str, dict[str, None]] = {"created": {}, "changed": {}, "removed": {}}
    for action in actions:
        kind = "created" if action.before is None else "removed" if action.after is None else "changed"
        kinds[kind][action.target] = None
    return {kind: list(targets) for kind, targets in kinds.items()}


@dataclass(frozen=True)
class Subject(Generic[D, G, C]):
    """What a module manages.

    options: keyword arguments of AnsibleModule (argument_spec, required_if, ...).
    desired: pure; raises Refused on bad input, before any call.
    connect: makes the gateways, with a close(); no call but a credential exchange.
    observe: reads only, absent is a value, at most three rounds.
    plan: pure; what should differ, as actions in order, and what is kept. Called once per attempt. Raises Refused.
    confirm: reads what only this plan calls for, such as whether a program can do it; returns the plan, or the one made
        with what it read. Raises Refused.
    view: pure; the public part of the result, from what was read and what was made, and "kept" of the plan.
    settle: waits, after a real run, for what the user asked to wait for; returns what to view.
    hidden: pure; texts of free-form options to mask in the result, beside the values of no_log options.
    """

    options: Mapping[str, Any]
    desired: Callable[[Mapping[str, Any]], D]
    connect: Callable[[Mapping[str, Any], D], G]
    observe: Callable[[G, D], C]
    plan: Callable[[C, D], Iterable[Action | Kept]]
    view: Callable[[C, D, Made], Mapping[str, Any]]
    settle: Callable[[G, D, C, Made, Report], C] | None = None
    hidden: Callable[[Mapping[str, Any]], Iterable[str]] = lambda params: ()
    confirm: Callable[[G, D, C, tuple[Action, ...]], tuple[Action, ...]] | None = None

    def planned(self, gateway: G, current: C, desired: D) -> Plan:
        """The plan, confirmed."""
        planned = Plan.of(self.plan(current, desired))
        if self.confirm:
            return replace(planned, actions=self.confirm(gateway, desired, current, planned.actions))
        return planned


@dataclass(frozen=True)
class Several(Generic[D, G, C]):
    """What a module manages that takes a list of what another subject takes once.

    desired: pure; an empty list means there is nothing to do. observe: the first observation, for all at once; if one
    has to be planned again, it is observed alone. view: built from the single views. agree: pure; raises Refused if the
    actions planned for one do not go together with those of another. most: how many are applied side by side.
    """

    options: Mapping[str, Any]
    subject: Subject[D, G, C]
    desired: Callable[[Mapping[str, Any]], Sequence[D]]
    connect: Callable[[Mapping[str, Any], Sequence[D]], G]
    observe: Callable[[G, Sequence[D]], Sequence[C]]
    view: Callable[[Sequence[D], Sequence[Mapping[str, Any]]], Mapping[str, Any]]
    hidden: Callable[[Mapping[str, Any]], Iterable[str]] = lambda params: ()
    agree: Callable[[Sequence[D], Sequence[tuple[Action, ...]]], None] = lambda desired, planned: None
    most: int = 4


AnySubject: TypeAlias = "Subject[Any, Any, Any] | Several[Any, Any, Any]"


@dataclass
class Progress:
    """What was reported while waiting: the controller shows it at once, a module lists it in its result."""

    show: Report | None = None
    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        if not self.lines or self.lines[-1] != line:
            self.lines.append(line)
            if self.show:
                self.show(line)


class Answer(Generic[T_co]):
    """What a call of at_once() returned, to be read after its block."""

    def __init__(self, call: Callable[[], T_co]) -> None:
        self._call = call
        self._returned: list[T_co] = []

    def run(self) -> None:
        self._returned.append(self._call())

    def result(self) -> T_co:
        (value,) = self._returned
        return value


class Ask:
    """Collects the calls of one round: ask(call, *arguments)."""

    def __init__(self) -> None:
        self.answers: list[Answer[Any]] = []

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        answer = Answer(partial(call, *args, **kwargs))
        self.answers.append(answer)
        return answer

    def when(self, needed: bool, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Answer[T | None]:
        """The call, or None if it is not needed or an argument contains an id that only a run will know."""
        if needed and not any(isinstance(value, str) and UNKNOWN in value for value in args):
            return self(call, *args, **kwargs)
        return self(_nothing)

    def known(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Answer[T | None]:
        """The call, or None if an argument contains an id that only a run will know."""
        return self.when(True, call, *args, **kwargs)


def _nothing() -> None:
    return None


AT_ONCE = 16
"""How many reads run at once, and how many connections a gateway keeps open for them."""


@contextlib.contextmanager
def at_once() -> Iterator[Ask]:
    """Run the independent calls of a block at its end, all at once, and wait for all of them.

    Raises the first error in the order asked.
    """
    ask = Ask()
    yield ask
    side_by_side(AT_ONCE, [answer.run for answer in ask.answers])


def results(answers: Mapping[K, Answer[T]]) -> dict[K, T]:
    """The results of answers, by the same keys."""
    return {key: answer.result() for key, answer in answers.items()}


def side_by_side(most: int, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run independent calls, at most this many at once, wait for all of them, and raise the first error in the order
    given."""
    most = min(most, len(calls))
    if most <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(max_workers=most) as pool:
        # Each in the caller's context, which limits how long its calls may be repeated (_patience.py).
        futures = [pool.submit(copy_context().run, call) for call in calls]
    return [future.result() for future in futures]


def until(
    probe: Callable[[], Any],
    *,
    timeout: float,
    first: float = 0.5,
    longest: float = 10.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Call probe until it returns something true or timeout seconds have passed; pauses grow, with jitter.

    Returns probe's last value, true or not.
    """
    deadline, pause = clock() + timeout, first
    while True:
        value = probe()
        left = deadline - clock()
        if value or left <= 0:
            return value
        sleep(min(left, pause * random.uniform(0.8, 1.2)))
        pause = min(longest, pause * 1.5)


TELL_EVERY = 30.0
"""Seconds after which a waiting user is shown the elapsed time again."""


def paced(report: Report, timeout: float, clock: Callable[[], float] = time.monotonic) -> Report:
    """Report for a wait of timeout seconds: a line when it changes, and every 30 s with the time that has passed."""
    start = told = clock()
    last = ""

    def tell(line: str) -> None:
        nonlocal last, told
        now = clock()
        if now - told >= TELL_EVERY:
            report(f"{line} ({now - start:.0f} s of {timeout:.0f} s)")
            # Relative to the start, however late each probe is.
            told = now - (now - start) % TELL_EVERY
        elif line != last:
            report(line)
        last = line

    return tell


def reconcile(
    subject: Subject[D, G, C] | Several[D, G, C], params: Mapping[str, Any], check: bool, report: Report
) -> Result:
    """Observe, plan and, unless check, apply. Raises Refused before the first write, Stopped after it."""
    unusable = tuple(_forms.unusable(params).values())
    if unusable:
        raise Refused(" ".join(unusable), unusable)
    unknown = None if check else _unknown_in(params)
    if unknown:
        raise Refused(f"{unknown} is {UNKNOWN}, which only stands for a value in check mode. Set it to the value.")
    misplaced = _forms.misplaced(subject.options.get("argument_spec", {}), params)
    conflicts = _forms.conflicts(subject.options, params)
    wrong = (*misplaced, *conflicts, *_addresses.problems(params), *_forms.problems(params))
    if wrong:
        raise Refused(" ".join(wrong), wrong)
    if isinstance(subject, Several):
        several = subject.desired(params)
        if not several:
            return Result((), subject.view((), ()))
        with contextlib.closing(subject.connect(params, several)) as gateway:
            return _reconcile_several(subject, gateway, several, check, report)
    desired = subject.desired(params)
    with contextlib.closing(subject.connect(params, desired)) as gateway:
        return _reconcile(subject, gateway, desired, check, report)


def _unknown_in(value: Any, path: str = "") -> str | None:
    """Path of the first option with UNKNOWN in it, such as values.clusterID, or None."""
    if isinstance(value, Mapping):
        found = (_unknown_in(item, f"{path}.{key}" if path else str(key)) for key, item in value.items())
        return next(filter(None, found), None)
    return path if isinstance(value, str) and UNKNOWN in value else None


def _reconcile(subject: Subject[D, G, C], gateway: G, desired: D, check: bool, report: Report) -> Result:
    run = _Run(subject, gateway, desired)
    try:
        if check:
            return _repeated(lambda: _foreseen(subject, gateway, subject.observe(gateway, desired), desired))
        run.apply()
        run.settle(report)
    except _Broken as broken:
        raise _stopped([broken], run.done) from broken.__cause__
    return run.result()


def _reconcile_several(
    several: Several[D, G, C], gateway: G, desired: Sequence[D], check: bool, report: Report
) -> Result:
    """Everything is observed and planned before the first write. The first is applied alone, then the others side by
    side. If one fails, the others still finish. Last, they are waited for together."""
    subject = several.subject
    try:
        current = _repeated(partial(several.observe, gateway, desired))
        pairs = list(zip(current, desired, strict=True))
        if check:
            foreseen = [partial(_foreseen, subject, gateway, *pair) for pair in pairs]
            ends = _repeated(partial(each, foreseen, several.most))
            several.agree(desired, [end.actions for end in ends])
            return _of_all(several, desired, ends)
        runs = _repeated(partial(each, [partial(_planned, subject, gateway, *pair) for pair in pairs], several.most))
        several.agree(desired, [run.planned.actions if run.planned else () for run in runs])
    except _Broken as broken:
        raise _stopped([broken], []) from broken.__cause__
    first, *others = runs
    first.attempt(first.apply)
    side_by_side(several.most, [partial(run.attempt, run.apply) for run in others])
    side_by_side(len(runs), [partial(run.attempt, partial(run.settle, report)) for run in runs if not run.broken])
    broken_runs = [run.broken for run in runs if run.broken]
    if broken_runs:
        done = [action for run in runs for action in run.done]
        raise _stopped(broken_runs, done, len(runs) > 1) from broken_runs[0].__cause__
    return _of_all(several, desired, [run.result() for run in runs])


def each(parts: Sequence[Callable[[], T]], most: int = 1) -> list[T]:
    """The results of the parts, run at most this many at once. Raises one Refused for all of them."""

    def refused_or(part: Callable[[], T]) -> T | Refused:
        try:
            return part()
        except Refused as refusal:
            return refusal

    ended = side_by_side(most, [partial(refused_or, part) for part in parts])
    refusals = [one for one in ended if isinstance(one, Refused)]
    if refusals:
        findings = tuple(dict.fromkeys(text for one in refusals for text in one.findings or (str(one),)))
        raise Refused(" ".join(dict.fromkeys(map(str, refusals))), findings if len(findings) > 1 else ())
    return [one for one in ended if not isinstance(one, Refused)]


def _planned(subject: Subject[D, G, C], gateway: G, current: C, desired: D) -> _Run[D, G, C]:
    return _Run(subject, gateway, desired, current, subject.planned(gateway, current, desired))


def _of_all(several: Several[D, G, C], desired: Sequence[D], results: Sequence[Result]) -> Result:
    actions = tuple(action for result in results for action in result.actions)
    return Result(actions, several.view(desired, [result.view for result in results]))


@dataclass
class _Run(Generic[D, G, C]):
    """One subject's run, part by part. current, planned: what has already been observed and planned."""

    subject: Subject[D, G, C]
    gateway: G
    desired: D
    current: C | None = None
    planned: Plan | None = None
    kept: Plan = field(default_factory=Plan)
    """The latest plan, for what it keeps."""
    done: list[Action] = field(default_factory=list)
    throttled: tuple[int, tuple[Action, ...]] | None = None
    """How many actions were done when one was first throttled, and the actions planned from that point."""
    made: dict[str, Any] = field(default_factory=dict)
    broken: _Broken | None = None

    def attempt(self, part: Callable[[], None]) -> None:
        """Run a part, and record how it failed if it did."""
        try:
            part()
        except _Broken as broken:
            self.broken = broken
        except Refused as refusal:
            self.broken = _Broken.by(refusal)

    def apply(self) -> None:
        """Apply the plan, and plan again if somebody else wrote first."""
        try:
            _repeated(self._apply_once)
        except Refused as refusal:
            if self.done:
                raise _Broken.by(refusal) from refusal
            raise
        if self.throttled:
            number, planned = self.throttled
            self.done[number:] = planned

    def _apply_once(self) -> None:
        planned, self.planned = self.planned, None
        if planned is None:
            self.current = self.subject.observe(self.gateway, self.desired)
            planned = self.subject.planned(self.gateway, self.current, self.desired)
        self.kept = planned
        for number, action in enumerate(planned.actions):
            try:
                _apply(action, self.gateway, self.made, self.done)
            except Throttled:
                self.throttled = self.throttled or (len(self.done), planned.actions[number:])
                raise

    def settle(self, report: Report) -> None:
        if self.subject.settle:
            observed = cast(C, self.current)
            try:
                self.current = self.subject.settle(self.gateway, self.desired, observed, self.made, report)
            except Failure as failure:
                raise _Broken.by(failure) from failure

    def result(self) -> Result:
        made = self.kept.shown(self.made)
        return Result(tuple(self.done), self.subject.view(cast(C, self.current), self.desired, made))


class _Broken(Failure):
    """A run that ended part-way. left: what it left; unsure: whether the write that failed may have been done."""

    def __init__(self, message: str, left: str = "", unsure: bool = False) -> None:
        super().__init__(message)
        self.left = left
        self.unsure = unsure

    @classmethod
    def by(cls, failure: Failure) -> _Broken:
        return cls(str(failure))


def _repeated(part: Callable[[], T]) -> T:
    """The result of a part, run again if somebody else wrote first or a server asks to try later."""
    attempt = 1
    while True:
        try:
            return part()
        except Conflict as conflict:
            if attempt == ATTEMPTS:
                raise _Broken(f"{conflict} This happened {ATTEMPTS} times in a row.") from conflict
            time.sleep(random.uniform(0.2, 1.0) * conflict.pause * attempt)
            attempt += 1
        except (_Broken, Refused):
            raise
        except Failure as failure:
            raise _Broken.by(failure) from failure


def _foreseen(subject: Subject[D, G, C], gateway: G, current: C, desired: D) -> Result:
    """What check mode shows. Read-only credentials are enough to make a plan."""
    lacks: tuple[str, ...] = ()
    planned = Plan()
    try:
        planned = subject.planned(gateway, current, desired)
    except Unwritable as refusal:
        if refusal.rest:
            raise refusal.rest from None
        lacks = refusal.lacks
    view = subject.view(current, desired, planned.shown({}))
    return Result(planned.actions, {**view, "warnings": [*view.get("warnings", ()), *lacks]} if lacks else view)


def _apply(action: Action, gateway: Any, made: dict[str, Any], done: list[Action]) -> None:
    try:
        made.update(action.run(gateway, made) or {})
    except Again:
        done.append(action)
        raise
    except Conflict:
        raise
    except Failure as failure:
        call = failure if isinstance(failure, CallFailed) else CallFailed("")
        left = failure.left if isinstance(failure, PartlyDone) else ""
        text = f"Could not {action.sentence}{call.within or f': {failure}'}"
        raise _Broken(text, left, call.unsure) from failure
    done.append(action)


def _stopped(broken: Sequence[_Broken], done: Sequence[Action], several: bool = False) -> Stopped:
    """several: whether this was one of several runs and the others continued."""
    sentences = tuple(action.sentence for action in done)
    applied = f"Done{' before that' * (not several)}: {'; '.join(sentences)}." if done else ""
    parts: list[str] = []
    for one in broken:
        parts += [str(one), "It is not known whether it was done anyway." * one.unsure]
        # What was done before the failure comes first, if there is one order.
        parts += [applied * (not several), f"It left {one.left}." if one.left else ""]
    parts.append(applied * several)
    if not (done or any(one.left or one.unsure for one in broken)):
        parts.append("Nothing was changed." if several else "Nothing was changed before that.")
    parts.append("A rerun is safe and continues from here.")
    left = "; ".join(one.left for one in broken if one.left)
    return Stopped(" ".join(filter(None, parts)), sentences, left)


def _outcome(
    subject: AnySubject,
    params: Mapping[str, Any],
    check: bool,
    diff: bool,
    progress: Progress,
    secrets: Iterable[str],
) -> dict[str, Any]:
    """The result of one task, success or failure, worded the same on both paths. secrets: texts to mask in the diff."""
    masked = {*secrets, *_hidden(subject, params)}
    try:
        result = reconcile(subject, params, check, progress).public(diff, lambda value: remove_values(value, masked))
    except Failure as failure:
        applied = list(failure.applied) if isinstance(failure, Stopped) else []
        changed = bool(applied or (isinstance(failure, Stopped) and failure.left))
        result = {"failed": True, "changed": changed, "msg": str(failure), "applied": applied}
        if isinstance(failure, Refused) and failure.findings:
            result["findings"] = list(failure.findings)
    if progress.lines:
        result["progress"] = progress.lines
    return result


def _hidden(subject: AnySubject, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts to mask, beside the values of no_log options."""
    return (*subject.hidden(params), *_addresses.hidden(params), *_credentials.pasted(params))


def checked_by_ansible(subject: AnySubject) -> dict[str, Any]:
    """Without the rules for which Ansible's own sentences would name no inventory variable."""
    return {key: value for key, value in subject.options.items() if key not in _forms.RULES}


class _Module(AnsibleModule):
    """Masks what the subject hides, in the log and in everything it returns, including complaints about other
    options."""

    params: dict[str, Any]

    def __init__(self, subject: AnySubject) -> None:
        self._hidden = partial(_hidden, subject)
        super().__init__(supports_check_mode=True, **checked_by_ansible(subject))

    def _load_params(self) -> None:
        super()._load_params()
        self.params = given(self.argument_spec, self.params)

    def _log_invocation(self) -> None:
        # The log shows an option as one text, in which a value is escaped and would not be found, so mask it before.
        params = self.params
        self.params = remove_values(params, self.no_log_values | set(self._hidden(params)))
        super()._log_invocation()
        self.params = params

    def _return_formatted(self, kwargs: dict[str, Any]) -> None:
        self.no_log_values.update(self._hidden(self.params))
        super()._return_formatted(kwargs)


def only_plans(task: Any) -> bool:
    """Whether Ansible's Task runs in check mode, wherever that is set."""
    return bool(task.check_mode)


def run_module(subject: AnySubject) -> None:
    """The module's path: in a separate process."""
    module = _Module(subject)
    result = _outcome(subject, module.params, module.check_mode, module._diff, Progress(), module.no_log_values)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


def run_task(
    subject: AnySubject, task: Any, arguments: Mapping[str, Any], show: Report, hidden: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """The action plugin's path: inside the controller, same validation, wording and masking.

    task: Ansible's Task (its action, check_mode and diff are read); arguments: the task's templated arguments; hidden:
    texts to mask, beside those that the subject and its options know.
    """
    options = checked_by_ansible(subject)
    specification = options.pop("argument_spec")
    unusable = _forms.unusable(arguments)
    wanted = {} if unusable else given(specification, as_data(arguments))
    unusable = unusable or _forms.unusable(wanted)
    if unusable:
        # Ansible itself fails to show such values.
        return {"failed": True, "msg": " ".join(unusable.values())}
    validation = ArgumentSpecValidator(specification, **options).validate(wanted)
    params = validation.validated_parameters
    if validation.error_messages:
        unsupported = isinstance(validation.errors[0], UnsupportedError)
        prefix = f"Unsupported parameters for ({task.action}) module: " if unsupported else ""
        result: dict[str, Any] = {"failed": True, "msg": prefix + validation.errors.msg}
    else:
        secrets = validation._no_log_values | hidden
        result = _outcome(subject, params, task.check_mode, task.diff, Progress(show), secrets)
    doubled = [f"Both option {one['option']} and its alias {one['alias']} are set." for one in validation._warnings]
    if doubled:
        result["warnings"] = [*result.get("warnings", ()), *doubled]
    result["invocation"] = {"module_args": params}
    masked: dict[str, Any] = remove_values(result, {*validation._no_log_values, *hidden, *_hidden(subject, params)})
    return masked
