"""C-GET and C-MOVE of a CT study: figures without gates.

``python benchmarks/bench_dimse_retrieve.py [--quick] [--dir DIR]``

C-GET is asked by our SCU and by getscu, of our embedded PACS and of Orthanc; both clients drop what they get. C-MOVE is
asked by our SCU of both servers, to one and the same storescp, so that only the source differs. Of getscu the time of
its process is taken for a small and for a large study, and the difference counted.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import data
import report
from data import CT, Maker
from report import Table, alternating

import peers
from peers import Child, Served

Study = tuple[str, int]  # its UID, and how many instances it has

FEW, MANY, QUICK_MANY = 10, 210, 110
DESTINATION_ID = "test-pacs-2"  # its AE title and port are known to the first server, and free: storescp takes them


def load(servers: list[Served], folder: Path, many: int) -> tuple[Study, Study]:
    """Give each server the same two studies; the UID and size of both."""
    maker = Maker(CT)
    studies = []
    for name, count in (("few", FEW), ("many", many)):
        files = maker.write(folder / name, count)
        for server in servers:
            peers.storescu(server, files, nodelay=True)
        studies.append((data.study_uid(files[0]), count))
    return studies[0], studies[1]


def ours(child: Child, server: Served, study: Study, operation: str, **arguments: str) -> float:
    """Instances per second of our SCU."""
    answer = child.ask(operation, peer=server.address(), study=study[0], **arguments)
    if answer["instances"] != study[1]:
        raise RuntimeError(f"{server.ae_title} delivered {answer['instances']} of {study[1]} instances")
    return float(study[1] / answer["seconds"])


def getscu(server: Served, few: Study, many: Study) -> float:
    """Instances per second of getscu, without its start."""

    def seconds(study: str) -> float:
        keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        return peers.run_client("getscu", server, [*keys, "--ignore", peers.HOST, str(server.port)], nodelay=True)

    return peers.rate_between((few[1], seconds(few[0])), (many[1], seconds(many[0])))


def compare(
    table: Table,
    own: Served,
    orthanc: Served,
    sink: Served,
    studies: tuple[Study, Study],
    runs: int,
) -> None:
    small, large = studies
    with Child() as child:
        for server, label in ((own, "our embedded PACS"), (orthanc, "Orthanc")):
            gotten = alternating(
                runs,
                ours=partial(ours, child, server, large, "fetch"),
                peer=partial(getscu, server, small, large),
            )
            table.higher(f"C-GET from {label}: our SCU, getscu", "/s", gotten["ours"], "getscu", gotten["peer"])
        moved = alternating(
            runs,
            ours=partial(ours, child, own, large, "have_moved", move_destination=sink.ae_title),
            peer=partial(ours, child, orthanc, large, "have_moved", move_destination=sink.ae_title),
        )
        table.higher("C-MOVE by our embedded PACS, by Orthanc", "/s", moved["ours"], "Orthanc", moved["peer"])


def main() -> int:
    given = report.options(__doc__ or "")
    many = QUICK_MANY if given.quick else MANY
    table = Table()
    with data.memory_folder() as memory, peers.embedded_pacs(memory) as pacs:
        report.facts({"of all servers": memory})
        destination = pacs.config.server(DESTINATION_ID)
        known = {destination.ae_title: (peers.HOST, destination.dicom_port)}
        with (
            peers.orthanc(memory, nodelay=True, known=known) as orthanc,
            peers.storescp(memory, nodelay=True, port=destination.dicom_port, ae_title=destination.ae_title) as sink,
        ):
            table.section(f"{many} x {CT.label}; TCP_NODELAY=1 for Orthanc, storescp --ignore +B, storescu and getscu")
            own = pacs.served()
            studies = load([own, orthanc], memory, many)
            compare(table, own, orthanc, sink, studies, given.runs)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
