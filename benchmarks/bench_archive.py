"""How fast the archive takes instances in, durably, and how fast it finds.

``python benchmarks/bench_archive.py [--quick] [--dir DIR]``

Beside it stands what the disk itself does: a sync of what a commit of the index writes, and of a new file of 0.5 MB.
"Processor" is what this process used for each instance, all threads, kernel and all. ext4 without a journal looks long
for a free inode where files were deleted within the last five minutes: repeat runs in another ``--dir`` there.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyFilter
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
CHUNK_BYTES = 16 << 10  # as P-DATA brings them
COMMIT_BYTES = 28_000  # what the index writes for one tiny instance
FAMILIES = ("SMITH", "JONES", "TAYLOR", "BROWN", "MÜLLER", "DUPONT", "ROSSI", "YAMADA", "SILVA", "NOVAK")


def header(study: int, number: int) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = CT
    made.StudyDate = f"20{study % 25:02d}{study % 12 + 1:02d}{study % 28 + 1:02d}"
    made.StudyTime = f"{study % 24:02d}{study % 60:02d}00"
    made.AccessionNumber = f"ACC{study:07d}"
    made.Modality = ("CT", "MR", "DX")[study % 3]
    made.StudyDescription = f"Study number {study}"
    made.PatientName = f"{FAMILIES[study % 10]}^GIVEN{study // 10}"
    made.PatientID = f"P{study:07d}"
    made.PatientBirthDate = "19700101"
    made.PatientSex = "F"
    made.StudyInstanceUID = f"1.2.3.1{study:08d}"
    made.SeriesInstanceUID = f"1.2.3.1{study:08d}.1"
    made.SOPInstanceUID = f"1.2.3.1{study:08d}.1.{number + 1}"
    made.SeriesNumber = 1
    made.InstanceNumber = number + 1
    made.Rows = made.Columns = 512
    return made


def encoded(data: Dataset, size_bytes: int) -> bytes:
    """The data set with pixel data that fills it up to a size."""
    buffer = io.BytesIO()
    sink = DicomIO(buffer)
    sink.is_implicit_VR, sink.is_little_endian = False, True
    write_dataset(sink, data)
    head = buffer.getvalue()
    pixels = bytes(max(0, size_bytes - len(head) - 12))
    return head + b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels


def store(archive: Archive, uid: str, content: bytes) -> None:
    view = memoryview(content)
    incoming = archive.begin(InstanceIdentity(CT, uid, EXPLICIT))
    for start in range(0, len(content), CHUNK_BYTES):
        incoming.write(view[start : start + CHUNK_BYTES])
    incoming.commit(environment=Environment.TEST)


def bench_disk(directory: Path, repeats: int) -> None:
    """The floor: no archive is faster with one thread, whatever it does."""
    with (directory / "log").open("wb") as log:
        log.write(bytes(repeats * COMMIT_BYTES))
        os.fsync(log.fileno())
        log.seek(0)

        def commit() -> int:
            log.write(b"1" * COMMIT_BYTES)
            log.flush()
            os.fdatasync(log.fileno())
            return 1

        timed("disk: overwrite 28 KB, sync", commit, repeats)
    numbers = itertools.count()
    content = os.urandom(525_000)

    def store_file() -> int:
        with (directory / f"file{next(numbers)}").open("xb") as file:
            file.write(content)
            os.fsync(file.fileno())
        return 1

    timed("disk: new file of 0.5 MB, sync", store_file, repeats)


def bench_ingest(
    archive: Archive, label: str, size_bytes: int, count: int, threads: int, studies: Iterator[int]
) -> None:
    work = []
    for _ in range(threads):
        study = next(studies)
        made = [header(study, number) for number in range(count // threads)]
        work.append([(str(one.SOPInstanceUID), encoded(one, size_bytes)) for one in made])

    def send(instances: list[tuple[str, bytes]]) -> None:
        for uid, content in instances:
            store(archive, uid, content)

    start, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, work))  # an error in a thread is an error here
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    stored = sum(map(len, work))
    rate, each_us = stored / seconds, processor / stored * 1e6
    print(
        f"ingest {label:5} x{threads}  {rate:8.0f} /s  {rate * size_bytes / 1e6:8.1f} MB/s  processor {each_us:5.0f} us"
    )


def bench_batch(archive: Archive, label: str, size_bytes: int, count: int, study: int) -> None:
    contents = [(str(one.SOPInstanceUID), encoded(one, size_bytes)) for one in (header(study, n) for n in range(count))]
    start = time.perf_counter()
    with archive.batch() as batch:
        for uid, content in contents:
            incoming = batch.begin(InstanceIdentity(CT, uid, EXPLICIT))
            incoming.write(content)
            incoming.commit(environment=Environment.TEST)
    print(f"batch  {label:5}     {count / (time.perf_counter() - start):8.0f} /s")


def fill(archive: Archive, count: int) -> None:
    for first in range(0, count, 1000):
        with archive.batch() as batch:
            for study in range(first, min(count, first + 1000)):
                data = header(study, 0)
                incoming = batch.begin(InstanceIdentity(CT, str(data.SOPInstanceUID), EXPLICIT))
                incoming.write(encoded(data, 0))
                incoming.commit(environment=Environment.TEST)


def timed(label: str, run: Callable[[], int], repeats: int) -> None:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        times.append((time.perf_counter() - start) * 1000)
    print(f"{label:34} n={found:6}  {statistics.median(times):8.2f} ms  [{min(times):.2f}..{max(times):.2f}]")


def bench_find(archive: Archive, repeats: int) -> None:
    requests = {
        "accession number": {"AccessionNumber": "ACC0000123"},
        "patient ID": {"PatientID": "P0000123"},
        "name SMITH^GIVEN1*": {"PatientName": "SMITH^GIVEN1*"},
        "name *müller^given7?": {"PatientName": "*müller^given7?"},
        "study date, one month": {"StudyDate": "20100501-20100531"},
        "modality CT and date": {"ModalitiesInStudy": "CT", "StudyDate": "20100501-20100531"},
        "modality SR (none)": {"ModalitiesInStudy": "SR"},
        "everything": {},
    }
    for label, keys in requests.items():
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "StudyDescription",
                        "ModalitiesInStudy", "NumberOfStudyRelatedInstances"):  # fmt: skip
            setattr(asked, keyword, keys.get(keyword, ""))
        timed(f"find {label}", lambda asked=asked: sum(1 for _ in archive.find(QueryModel.STUDY_ROOT, asked)), repeats)
    timed("list, newest 50", lambda: len(archive.studies(limit=50).studies), repeats)
    timed("list, search 'rossi'", lambda: len(archive.studies(StudyFilter(search="rossi")).studies), repeats)
    timed("storage summary", lambda: archive.storage().studies, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer instances and studies")
    parser.add_argument("--dir", type=Path, help="where to work; its disk is what is measured (default: temporary)")
    options = parser.parse_args()
    tiny, ct, studies = (400, 80, 1000) if options.quick else (3000, 400, 10_000)
    numbers = itertools.count(1_000_000)
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        bench_disk(Path(directory), 30 if options.quick else 200)
        archive = Archive(Path(directory) / "ingest")
        for threads in (1, 4):
            bench_ingest(archive, "tiny", 5_000, tiny, threads, numbers)
            bench_ingest(archive, "ct", 525_000, ct, threads, numbers)
        bench_batch(archive, "tiny", 5_000, tiny, next(numbers))
        bench_batch(archive, "ct", 525_000, ct, next(numbers))
        archive.close()
        archive = Archive(Path(directory) / "find")
        fill(archive, studies)
        bench_find(archive, 3 if options.quick else 5)
        archive.close()


if __name__ == "__main__":
    main()
