"""The local study store: fabricate, list, show, delete, export."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, Interrupted, InvalidInput, NotFound
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment, is_uid
from dicomfab.services.declared_defects import defect_note, refuse_defects
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.recipe_blanks import completed, working_hour
from dicomfab.services.recording import Record, nobody, of_study, recorded

if TYPE_CHECKING:
    from dicomfab.archive.records import ReindexReport, StudyDetail, StudyFilter, StudyPage, StudySort
    from dicomfab.fabricate.patterns import Pattern
    from dicomfab.fabricate.preview import Preview
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
    from dicomfab.services.derivation import Derived
    from dicomfab.services.patients import IssuedId

LATEST = "latest"
MAX_STUDIES = 100_000


@dataclass(frozen=True, slots=True)
class Fabricated:
    """A study that was made.

    Args:
        resolved: the recipe with everything that could vary filled in; it makes the same bytes again.
        instances: how many SOP instances.
        size_bytes: their files together.
        seconds: time taken.
        directory: where plain files were written; ``None`` for the local store.
    """

    resolved: ResolvedStudy
    instances: int
    size_bytes: int
    seconds: float
    directory: Path | None = None


def patient_given(name: str, patient_id: str, birth_date: str, sex: str) -> Patient | None:
    """The patient that a form or command names, blanks where it leaves something to be invented."""
    if not any((name, patient_id, birth_date, sex)):
        return None
    return Patient(name=name.strip(), patient_id=patient_id.strip(), birth_date=birth_date, sex=sex)


class Identifiers(Protocol):
    """Gives out identifiers that nobody else gets."""

    def next_patient_id(self, actor: Actor, pattern: Pattern) -> IssuedId:
        """A new Patient ID of this pattern."""

    def next_accession(self, actor: Actor, pattern: Pattern) -> IssuedId:
        """A new accession number of this pattern."""


@dataclass(slots=True)
class StudyService:
    """Studies of the local store; each carries the environment that it came from, and the policy applies to it."""

    local: Archive
    now: Callable[[], datetime.datetime]
    draw_seed: Callable[[], int]
    #: Asked for when a pattern leaves something to it.
    identifiers: Callable[[], Identifiers] | None = None
    #: Told of each study before anything of it is kept.
    note_study: Callable[[str], None] = lambda _study_instance_uid: None
    #: Keeps what a study is made of, before anything of it is kept: later reports are made from it.
    keep_recipe: Callable[[ResolvedStudy], None] = lambda _resolved: None
    record: Record = nobody

    def resolve_recipe(self, actor: Actor, recipe: StudyRecipe) -> ResolvedStudy:
        """Fill in what the recipe leaves open.

        Raises:
            InvalidInput: a field that cannot be used, by name; a transfer syntax that cannot hold the pixels.
        """
        from dicomfab.fabricate.resolve import resolve
        from dicomfab.fabricate.study import check_syntaxes
        from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        seed = self.draw_seed() if recipe.seed is None else recipe.seed
        if recipe.seed is not None and recipe.study_time is None:
            # With a seed of the user's the clock must not decide: the same recipe has to make the same bytes.
            recipe = replace(recipe, study_time=working_hour(seed))
        recipe = replace(self._identified(actor, recipe), seed=seed)
        recipe = replace(recipe, patient=completed(recipe.patient, seed, recipe.script))
        resolved = resolve(recipe, now=self.now(), draw_seed=self.draw_seed)
        if any(one.transfer_syntax != EXPLICIT_LITTLE for one in resolved.series):
            check_syntaxes(resolved)
        return resolved

    def _identified(self, actor: Actor, recipe: StudyRecipe) -> StudyRecipe:
        """Take new identifiers for what the recipe leaves to a pattern."""
        from dicomfab.fabricate.patterns import Purpose, parse

        if not (recipe.accession_pattern or recipe.patient_id_pattern):
            return recipe
        if self.identifiers is None:
            raise InvalidInput(
                "accession_pattern: nothing here gives out identifiers",
                field="accession_pattern",
                value=recipe.accession_pattern,
                remedy="give accession number and Patient ID themselves",
            )
        source = self.identifiers()
        if recipe.accession_pattern and recipe.accession_number is None:
            pattern = parse(recipe.accession_pattern, Purpose.ACCESSION, field="accession_pattern")
            recipe = replace(recipe, accession_number=source.next_accession(actor, pattern).value)
        patient = recipe.patient or Patient("", "")
        if recipe.patient_id_pattern and not patient.patient_id:
            pattern = parse(recipe.patient_id_pattern, Purpose.PATIENT_ID, field="patient_id_pattern")
            found = replace(patient, patient_id=source.next_patient_id(actor, pattern).value)
            recipe = replace(recipe, patient=found)
        return recipe

    def resolve_several(self, actor: Actor, recipe: StudyRecipe, count: int) -> Iterator[ResolvedStudy]:
        """Fill in so many studies of one recipe, each when it is asked for.

        Each has a seed of its own, and unless the recipe names one a patient of its own.

        Raises:
            InvalidInput: a field that cannot be used; an accession number for more than one study.
        """
        from dicomfab.fabricate.recipe import nth

        if not 1 <= count <= MAX_STUDIES:
            raise InvalidInput(
                f"count: {count} studies",
                field="count",
                value=count,
                cause=f"1 to {MAX_STUDIES} can be made at once",
                remedy="make them in several turns",
            )
        if count > 1 and recipe.accession_number:
            raise InvalidInput(
                f"accession_number: {recipe.accession_number!r} for {count} studies",
                field="accession_number",
                value=recipe.accession_number,
                cause="an accession number names one study",
                remedy="leave it out, so that each study has one of its own, or make one study",
            )
        if count == 1:
            return iter((self.resolve_recipe(actor, recipe),))
        seed = self.draw_seed() if recipe.seed is None else recipe.seed
        return (self.resolve_recipe(actor, nth(recipe, seed, number)) for number in range(count))

    def preview(self, actor: Actor, resolved: ResolvedStudy) -> tuple[Preview, ...]:
        """What the study would be, series by series; nothing is rendered before a picture is asked for."""
        from dicomfab.fabricate.preview import previews

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return tuple(previews(resolved))

    def _know(self, resolved: ResolvedStudy) -> None:
        """Have the ledger know a study by its UID; not by an order's, which a real study may have as well.

        A declared defect is noted in either case: better that a real study is held up than that this one goes on.
        """
        if resolved.study_instance_uid == resolved.uid("study"):
            self.note_study(resolved.study_instance_uid)
        if resolved.defects:
            self.note_study(defect_note(resolved.study_instance_uid))

    def create(
        self,
        actor: Actor,
        resolved: ResolvedStudy,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
        workers: int | None = None,
    ) -> Fabricated:
        """Fabricate into the local store, all or nothing.

        Making the same resolved recipe again changes nothing: the same bytes have the same UIDs.

        Raises:
            InvalidInput: it has declared defects.
            Conflict: the study is there with other content, which was kept.
            DiskFull: no space is left; nothing was kept.
        """
        from dicomfab.fabricate.study import count, fabricate

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        refuse_defects([resolved])
        start, total, size, done = time.perf_counter(), count(resolved), 0, 0
        self._know(resolved)
        self.keep_recipe(resolved)
        with recorded(self.record, _fabrication(actor, resolved)) as noted:
            noted.add(detail={"instances": str(total)})
            with self.local.batch() as batch:
                for instance in fabricate(resolved, workers=workers):
                    if cancelled():
                        raise Interrupted("fabrication was cancelled; nothing was kept")
                    with batch.begin(instance.identity) as incoming:
                        for buffer in instance.buffers:
                            incoming.write(buffer)
                        size += incoming.size_bytes
                        incoming.commit(environment=Environment.TEST, made_here=True)
                    done += 1
                    on_progress(Progress("fabricating", done, total))
            if batch.kept:
                raise _other_content(resolved.study_instance_uid)
        return Fabricated(resolved, done, size, time.perf_counter() - start)

    def write_files(
        self,
        actor: Actor,
        resolved: ResolvedStudy,
        directory: Path,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
        workers: int | None = None,
    ) -> Fabricated:
        """Fabricate plain DICOM files into a folder instead of the local store.

        Raises:
            Conflict: a file of the study exists already, or the folder holds an incomplete study.
            Interrupted: it was cancelled; the folder is marked as incomplete, see :meth:`resume_files`.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        self._know(resolved)
        with recorded(self.record, _fabrication(actor, resolved, directory)):
            return _written(resolved, directory, on_progress, cancelled, workers, resume=False)

    def resume_files(
        self,
        actor: Actor,
        directory: Path,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
        workers: int | None = None,
    ) -> Fabricated:
        """Go on with a folder whose study is incomplete; what is there is kept.

        Raises:
            NotFound: nothing in the folder is incomplete.
            Conflict: another version of the software began it.
            Interrupted: it was cancelled again.
        """
        from dicomfab.fabricate.unfinished import pending

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        resolved = pending(directory)
        with recorded(self.record, _fabrication(actor, resolved, directory)):
            return _written(resolved, directory, on_progress, cancelled, workers, resume=True)

    def page(
        self,
        actor: Actor,
        search: StudyFilter | None = None,
        *,
        sort: StudySort | None = None,
        descending: bool = True,
        limit: int = 100,
        offset: int = 0,
        environments: Iterable[Environment] = tuple(Environment),
        counted: bool = True,
    ) -> StudyPage:
        """One page of the studies that the actor may see; the newest first unless told otherwise.
        Only those from some environments if these are named; without their total if it is not to be counted.
        """
        from dicomfab.archive.records import StudyFilter, StudySort

        return self.local.studies(
            search or StudyFilter(),
            sort=sort or StudySort.STORED,
            descending=descending,
            limit=limit,
            offset=offset,
            environments=visible(actor, Action.VIEW, environments),
            counted=counted,
        )

    def show(self, actor: Actor, study_instance_uid: str) -> StudyDetail:
        """One study with its series.

        Raises:
            NotFound: no such study.
            AccessDenied: the study came from an environment that the actor may not view.
        """
        detail = self.brief(actor, study_instance_uid)
        self.record(_of(actor, EventKind.VIEW, detail))
        return detail

    def brief(self, actor: Actor, study_instance_uid: str) -> StudyDetail:
        """As :meth:`show`, for those who do something else with the study, which is recorded by itself.

        Raises:
            NotFound, AccessDenied: as :meth:`show`.
        """
        detail = self.local.study(study_instance_uid)
        require(actor, Action.VIEW, detail.summary.environment)
        return detail

    def resolve_reference(self, actor: Actor, reference: str) -> str:
        """Find the study that a person means: a UID, an accession number, or ``latest``.

        Raises:
            NotFound: none, with what to do.
            InvalidInput: more than one.
        """
        from dicomfab.archive.records import StudyFilter

        reference = reference.strip()
        if reference.casefold() == LATEST:
            found = self.page(actor, limit=1).studies
        elif is_uid(reference) and self.local.has_study(reference):
            return reference
        else:
            found = self.page(actor, StudyFilter(accession_number=_literal(reference)), limit=2).studies
        if not found:
            raise NotFound(
                f"there is no local study {reference!r}.",
                cause="a study is named by its Study Instance UID, its accession number, or 'latest'",
                remedy="see what there is: dicomfab study list",
            )
        if len(found) > 1:
            raise InvalidInput(
                f"study: {reference!r} fits more than one local study",
                field="study",
                value=reference,
                cause="several studies share this accession number",
                remedy="use the Study Instance UID: dicomfab study list",
            )
        return found[0].study_instance_uid

    def derive_lossy(
        self,
        actor: Actor,
        study_instance_uid: str,
        transfer_syntax: str,
        *,
        quality: int | None = None,
        again: bool = False,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> Derived:
        """Compress the images of a study with loss, as new series of the same study, all or nothing.

        Args:
            actor: who asks.
            study_instance_uid: a local study; its environment is that of the new series.
            transfer_syntax: name or UID of a lossy one.
            quality: on its scale; its default if None.
            again: also compress what is lossy already.
            on_progress: told after each instance.
            cancelled: asked before each instance.

        Raises:
            InvalidInput: transfer syntax or quality cannot be used, for no image of the study.
            NotFound: no such study.
            TranscodingFailed: an image is damaged.
            Interrupted: it was cancelled.
        """
        from dicomfab.services.derivation import derive_study, request

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        wanted = request(transfer_syntax, quality, again=again)
        detail = self.brief(actor, study_instance_uid)
        event = _of(actor, EventKind.FABRICATION, detail, detail={"lossy": wanted.syntax.name})
        with recorded(self.record, event):
            return derive_study(self.local, detail, wanted, on_progress, cancelled)

    def delete(self, actor: Actor, study_instance_uid: str) -> StudyDetail:
        """Remove a study and its files from the local store; returns what was removed."""
        detail = self.brief(actor, study_instance_uid)
        require(actor, Action.DELETE, detail.summary.environment)
        with recorded(self.record, _of(actor, EventKind.DELETION, detail), ahead=True):
            self.local.delete_study(study_instance_uid)
        return detail

    def reindex(self, actor: Actor) -> ReindexReport:
        """Rebuild the index from the files, for when it is damaged.

        A study's environment is in no file: where the old index cannot be read, the study counts as production.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        return self.local.reindex()

    def export(
        self, actor: Actor, study_instance_uid: str, directory: Path, *, on_progress: OnProgress = ignore
    ) -> list[Path]:
        """Copy a study's files into a folder, named by series and instance.

        Raises:
            InvalidInput: the folder holds other files already; nothing was written.
        """
        detail = self.brief(actor, study_instance_uid)
        require(actor, Action.EXPORT, detail.summary.environment)
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise InvalidInput(
                f"out: {directory} is not an empty folder",
                field="out",
                value=str(directory),
                cause="an export never mixes with or replaces other files",
                remedy="name a new or empty folder",
            )
        written: list[Path] = []
        event = _of(actor, EventKind.EXPORT, detail, subject=str(directory))
        with self.local.using(study_instance_uid), recorded(self.record, event, ahead=True):
            instances = self.local.instances(study_instance_uid)
            for done, instance in enumerate(instances, start=1):
                folder = directory / instance.series_instance_uid
                folder.mkdir(parents=True, exist_ok=True)
                target = folder / f"{instance.identity.sop_instance_uid}.dcm"
                shutil.copyfile(instance.path, target)
                written.append(target)
                on_progress(Progress("exporting", done, len(instances)))
        return written


def _of(actor: Actor, kind: EventKind, study: StudyDetail, **values: Any) -> AuditEvent:
    """What is recorded of a local study; of its instances only how many."""
    summary = study.summary
    given = {"detail": {"instances": str(summary.instance_count)}, **of_study(summary, ()), **values}
    return AuditEvent.by(actor, kind, environment=str(summary.environment), **given)


def _fabrication(actor: Actor, resolved: ResolvedStudy, directory: Path | None = None) -> AuditEvent:
    return AuditEvent.by(
        actor,
        EventKind.FABRICATION,
        environment=str(Environment.TEST),
        subject="" if directory is None else str(directory),
        study_uids=(resolved.study_instance_uid,),
        patient_ids=(resolved.patient.patient_id,),
    )


def _other_content(study_instance_uid: str) -> Conflict:
    return Conflict(
        f"the local store holds study {study_instance_uid} with other content, which was kept",
        cause="it was changed after it was made, for example by a merge of patients, or another version of this "
        "program made it",
        remedy=f"make it with another seed, or delete that study first: dicomfab study delete {study_instance_uid}",
    )


def _written(
    resolved: ResolvedStudy,
    directory: Path,
    on_progress: OnProgress,
    cancelled: Cancelled,
    workers: int | None,
    *,
    resume: bool,
) -> Fabricated:
    from dicomfab.fabricate.sinks import write_files

    def progress(done: int, of: int) -> None:
        on_progress(Progress("writing", done, of))
        if cancelled() and done < of:
            raise Interrupted(
                f"fabrication was cancelled after {done} of {of} instances",
                remedy=f"go on with it: dicomfab study create --out {directory} --resume; or delete the folder",
            )

    start = time.perf_counter()
    files = write_files(resolved, directory, progress, workers=workers, resume=resume)
    size = sum(file.path.stat().st_size for file in files)
    return Fabricated(resolved, len(files), size, time.perf_counter() - start, directory)


def _literal(reference: str) -> str:
    """An accession number that cannot be taken for a pattern."""
    if not reference or any(c in reference for c in "*?\\"):
        raise InvalidInput(
            f"study: {reference!r} names no study",
            field="study",
            value=reference,
            cause="it is empty or has a wildcard in it",
            remedy="see what there is: dicomfab study list",
        )
    return reference
