"""What the pages suppose of their readers, and where an example is run if not by reading its page."""

from __future__ import annotations

from tests.docs.examples import World

# A server of the reader's: one that answers stands in its place.
HOSPITAL = {
    r"--host pacs\.example\.com --port 104 --aec PACS\b": "--host localhost --port 4242 --aec TESTPACS",
}
ADD_HOSPITAL = (
    'dicomfab pacs add --name "Hospital PACS" --host localhost --port 4246 --aec PRODPACS2'
    " --environment prod --allow-synthetic"
)
TEST_HOSPITAL = (
    'dicomfab pacs add --name "Hospital PACS" --host localhost --port 4243 --aec TESTPACS2 --environment test'
)
STUDY = "dicomfab study create --kind text-card --accession STUDY --patient-name DOE^JANE"
SENT = f"{STUDY}\ndicomfab study send STUDY --to test-pacs-1"
SEED = "tests/docs/test_seed_page.py::test_the_whole_page_in_one_shell"
ORDER = (
    "dicomfab hl7 build orm-new --set PatientID=P100 --set PatientName=DOE^JANE"
    " --set AccessionNumber=A100 --set Modality=CT -o order.hl7"
)
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    " -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout ris.key -out ris.pem\ncp ris.pem ca.pem"
)
RESULTS = "dicomfab jobs watch 2 > /dev/null; dicomfab jobs show 2 | grep -o -- '--search [^ ]*'"
PASSWORD = "echo 'wandering otter 41 lamps'"
ACCOUNT = f"users add --password-file <({PASSWORD}) prometheus"
ANCHOR = "dicomfab audit verify | sed -n 's/.*anchor now: //p'"
DATABASE = "tests/docs/test_operations.py::test_two_machines_share_a_database"
RIS = (
    "dicomfab ris run --test --any-caller > ris.log 2>&1 &\n"
    "for try in $(seq 600); do grep -q Worklist ris.log && break; sleep 0.1; done"
)
PAGES = (
    "dicomfab serve > serve.log 2>&1 &\nfor try in $(seq 600); do grep -q 'is at' serve.log && break; sleep 0.1; done"
)
TAKEN = f"{ORDER}\n{RIS}\ndicomfab hl7 send order.hl7 --to 127.0.0.1:2575 --test"
NEW_UIDS = {r"1\.2\.840\.1\b|2\.25\.1234\b|1\.2\.3\b": "latest"}

GETTING_STARTED = {
    "README.md": World(
        before=f"{ORDER}\n{RIS}\n{STUDY.replace('STUDY', 'ACCESSION')}\ndicomfab study send ACCESSION --to test-pacs-1",
        swaps={"--kind ct-chest --kind": "--kind ct-chest:3 --kind", **HOSPITAL},
        elsewhere={"make run": "tests/setup", "make test": "tests/setup"},
    ),
    "CONTRIBUTING.md": World(
        elsewhere={"make": "Makefile", ".venv/bin/pytest": "tests/unit/registry"},
        lab=False,
    ),
    "docs/getting-started/first-steps.md": World(
        before=RIS,
        swaps={r"--kind ct-chest\b": "--kind ct-chest:5", **HOSPITAL},
        ends={
            "dicomfab move FIRST0001 --from test-pacs-1 --to prod-pacs-1 --yes-production": 0,
            "dicomfab move FIRST0001 --from test-pacs-1 --to prod-pacs-1": 5,
        },
    ),
    "docs/getting-started/installation.md": World(
        serves={"dicomfab serve": "DICOM Fabricator is at"},
        right_before={"dicomfab lab start --free-ports": "dicomfab lab stop"},
        elsewhere={
            "make": "tests/setup",
            "git pull": "tests/setup",
            "pipx": "tests/packaging/test_wheel.py",
            "docker": "tests/packaging/test_containers.py",
            "sudo": "tests/packaging/test_units.py",
        },
    ),
}

GUIDES = {
    "docs/user-guides/fabricate.md": World(
        files={0: "follow-up.yaml"},
        swaps={"ct-chest --kind dx-chest": "ct-chest:3 --kind dx-chest"},
    ),
    "docs/user-guides/objects.md": World(lab=False),
    "docs/user-guides/populations.md": World(
        files={0: "screening.yaml"}, swaps={"--patients 100": "--patients 5", "patients: 500": "patients: 5"}, lab=False
    ),
    "docs/user-guides/validate.md": World(
        before="dicomfab study create --kind dx-chest --out out\n"
        "ln -s out FOLDER\nfiles=($(find out -name '*.dcm'))\ncp ${files[0]} one.dcm\ncp ${files[1]} another.dcm\n"
        "dicomfab study create --kind dx-chest",
        lab=False,
    ),
    "docs/user-guides/patients.md": World(
        before="dicomfab patient add --name 'Berg^Ida' --id SYN0000000042",
        right_before={
            "dicomfab study create --kind ct-chest --patient": "dicomfab patient add --name B^I --id SYN0000000042"
        },
        swaps={"study create --kind ct-chest": "study create --kind ct-chest:3"},
        answers={"dicomfab patient remove": ("y",)},
        lab=False,
    ),
    "docs/user-guides/studies.md": World(
        before="dicomfab study create --kind dx-chest --accession FIRST\n"
        "dicomfab study create --kind dx-chest --accession SECOND",
        ends={"dicomfab study diff": 8},
        lab=False,
    ),
    "docs/user-guides/orders.md": World(
        files={0: "northern.yaml", 2: "replies.yaml"},
        before=f"{ORDER.replace('P100', 'P1').replace('A100', 'A1')}\n{CERTIFICATE}\n"
        "dicomfab hl7 build adt-merge --set PatientID=P900 --set PriorPatientID=P1 > a40.hl7\n"
        "dicomfab pacs add --name ward --host localhost --port 4242 --aec TESTPACS --environment test",
        swaps={
            r"ris\.example\.com|ward\.example": "localhost",
            "check-merge P100": "check-merge P1",
            "--wait 60": "--wait 2",
        },
        ends={"dicomfab patient check-merge": 6},  # nobody merged anything there
        serves={"dicomfab ris run": "Worklist"},
        right_before={
            "dicomfab ris run --test --tls-cert": "ended 2>/dev/null",
            "dicomfab modality worklist": f"ended 2>/dev/null\n{RIS}",
        },
    ),
    "docs/user-guides/sending.md": World(
        before="dicomfab study create --kind text-card --out scans\n"
        "dicomfab study create --kind text-card\ndicomfab study export latest --zip --out more.zip",
    ),
    "docs/user-guides/queries.md": World(
        before=f"{SENT}\nprintf 'accession\\nSTUDY\\n' > studies.csv",
        swaps={r"show 12": "show 2", r"--search ID": f"$({RESULTS})"},
    ),
    "docs/user-guides/comparing.md": World(
        before=SENT,
        ends={"dicomfab compare test-pacs-1": 6},
        swaps={"outcomes 12": "outcomes 2", "--fix 12": "--fix 2"},
    ),
    "docs/user-guides/receiving.md": World(
        serves={"dicomfab receive": "Receiving as"}, right_before={"dicomfab receive --bind": "ended 2>/dev/null"}
    ),
    "docs/user-guides/tls.md": World(
        before=f"{ADD_HOSPITAL}\n{CERTIFICATE}\n"
        "cp ris.pem hospital-ca.pem; cp ris.pem pacs.pem; cp ris.pem station.pem; cp ris.key station.key\n"
        "storescp +tls ris.key ris.pem -ic --ignore 2762 &",
        serves={"storescp": ":11117"},
        ports=("11117", "2762"),
    ),
    "docs/user-guides/dicomweb-servers.md": World(
        before=f"{SENT}\n"
        "dicomfab pacs add --name office --host localhost --port 4243 --aec TESTPACS2 --environment test",
        swaps={
            r"https://pacs\.example\.com/dicom-web": "http://localhost:8043/dicom-web",
            r"~/\.local/share/dicomfab/": "$DICOMFAB_HOME/",
            r"--dicomweb-user fab": "--dicomweb-user test",
            r"2\.25\.1234": "STUDY",
        },
        types={"(umask 077": "test123\n"},
    ),
    "docs/user-guides/dicomweb.md": World(
        before=f"{SENT}\n{PAGES}",
        swaps={r"https://fab\.example": "http://localhost:5001"},
    ),
    "docs/user-guides/doctor.md": World(
        before=SENT, swaps={r"--to SERVER": "--to test-pacs-2", r"\bSERVER\b": "test-pacs-1"}
    ),
    "docs/user-guides/traces.md": World(before=SENT, swaps={r"\bSERVER\b": "test-pacs-1", r"\bOTHER\b": "test-pacs-2"}),
    "docs/user-guides/server-limits.md": World(
        before=f"{ADD_HOSPITAL}\n"
        'dicomfab pacs add --name "Old archive" --host localhost --port 4242 --aec TESTPACS --environment test\n'
        'dicomfab pacs add --name "Dose server" --host localhost --port 4243 --aec TESTPACS2 --environment test',
    ),
    "docs/user-guides/production.md": World(
        before="dicomfab pacs add --name hospital --host localhost --port 4246 --aec PRODPACS2 --environment prod"
    ),
}

RUNNING_IT = {
    "docs/user-guides/jobs.md": World(
        before=f"{TEST_HOSPITAL}\n"
        f"{SENT.replace('text-card', 'text-card --kind text-card')}\ndicomfab study send STUDY --to hospital-pacs\n"
        "printf 'accession\\nSTUDY\\n' > studies.csv\n"
        "dicomfab query --pacs test-pacs-1 --save lindgren\n"
        'read -r ONE TWO <<< $(dicomfab study show STUDY --json | grep -o \'"series_instance_uid": "[^"]*\''
        " | cut -d'\"' -f4 | sort -u | tr '\\n' ' ')",
        swaps={"watch 12": "watch 3", r"\bSERIES\b": "$ONE", r"\bANOTHER\b": "$TWO", r"1\.2\.840\.1\b": "STUDY"},
        serves={"dicomfab worker": "does jobs until"},
    ),
    "docs/user-guides/monitoring.md": World(before=ADD_HOSPITAL, swaps={"users add prometheus": ACCOUNT}),
    "docs/user-guides/audit.md": World(
        before=f"{PASSWORD} | dicomfab users add anna test_read --password-file -\n"
        "for n in $(seq 20); do dicomfab pacs edit test-pacs-1 --notes n$n; done",
        swaps={"/mnt/elsewhere/anchors": "anchors", r"4711:9f86d[0-9a-f]+": f"$({ANCHOR})"},
        answers=dict.fromkeys(("dicomfab audit rekey", "dicomfab audit purge", "dicomfab audit end-delivery"), ("y",)),
        right_before={"dicomfab audit rekey --lost": "rm $DICOMFAB_HOME/audit.key"},
        ends={"dicomfab audit end-delivery": 3},
        elsewhere={"dicomfab audit deliver ": "tests/peers/test_audit_syslog.py"},
    ),
    "docs/user-guides/settings.md": World(lab=False, serves={"DICOMFAB_HOME=~/lab": "DICOM Fabricator is at"}),
    "docs/user-guides/web-interface.md": World(lab=False, serves={"dicomfab serve": "DICOM Fabricator is at"}),
    "docs/user-guides/users.md": World(
        before=f"{PASSWORD} > password.txt",
        answers={"dicomfab users add anna": ("wandering otter 41 lamps",) * 2},
        lab=False,
    ),
    "docs/user-guides/authentication.md": World(
        before=f"mkdir ~/etc\n{CERTIFICATE}\ncp ris.pem ~/etc/chain.pem; cp ris.key ~/etc/key.pem\n"
        "cp ris.pem ~/etc/hospital-ca.pem; echo secret > ~/etc/ldap-password; echo secret > ~/etc/oidc-secret\n"
        "chmod 600 ~/etc/*",
        swaps={"/etc/dicomfab": "$HOME/etc", r"WEB_HOST=0\.0\.0\.0": "WEB_HOST=127.0.0.1"},
        right_before={
            "export DICOMFAB_AUTH": "ended 2>/dev/null\n"
            'unset DICOMFAB_WEB_CERTIFICATE DICOMFAB_WEB_KEY "${!DICOMFAB_LDAP_@}" "${!DICOMFAB_SAML_@}"'
        },
        serves={"dicomfab serve": "DICOM Fabricator is at", "DICOMFAB_AUTH=local": "DICOM Fabricator is at"},
        elsewhere={
            "dicomfab auth test": "tests/peers/test_ldap_sign_in.py",
            "dicomfab --server": "tests/docs/test_operations.py::test_commands_from_afar_go_through",
        },
        lab=False,
    ),
    "docs/user-guides/operations.md": World(
        before=ADD_HOSPITAL,
        answers={"dicomfab users add anna": ("wandering otter 41 lamps",) * 2},
        elsewhere={
            **dict.fromkeys(
                ("sudo -u postgres", "export DICOMFAB_", "dicomfab pacs add", "dicomfab settings"), DATABASE
            ),
            "sudo systemd-run": "tests/packaging/test_units.py",
        },
    ),
    "docs/user-guides/engines.md": World(),
    "docs/user-guides/moving-over.md": World(lab=False),
    "docs/user-guides/backup.md": World(before=SENT, right_before={'mv "${DICOMFAB_HOME': "dicomfab lab stop"}),
    "CONTRIBUTING.md": World(elsewhere=dict.fromkeys(("make", ".venv/bin/pytest"), "tests/setup"), lab=False),
    "docs/user-guides/python-api.md": World(),
    "docs/troubleshooting/cmove-troubleshooting.md": World(
        before="dicomfab study create --kind text-card --accession 12345\n"
        "STUDY=$(dicomfab study list --json | grep -o '2\\.25\\.[0-9]*' | head -1)\n"
        "dicomfab pacs add --name source --host localhost --port 4242 --aec TESTPACS --environment test\n"
        "dicomfab pacs add --name destination --host localhost --port 4243 --aec TESTPACS2 --environment test\n"
        "dicomfab pacs route source destination --ae TESTPACS2\ndicomfab study send 12345 --to source",
        swaps={
            "source.example.com 104": "localhost 4242",
            "SOURCE_AE": "TESTPACS",
            "DESTINATION_AE": "TESTPACS2",
            r"1\.2\.3\.4": "$STUDY",
        },
    ),
    "docs/troubleshooting/common-issues.md": World(
        swaps={"-aec SERVER_AE HOST PORT": "-aec TESTPACS localhost 4242", r"\bSERVER\b": "test-pacs-1"}
    ),
    "docs/reference/rest-api.md": World(
        before=PAGES,
    ),
    "docs/reference/benchmarks.md": World(lab=False, swaps={r"\.py$": ".py --help"}),
    "docs/user-guides/pacs-setup.md": World(
        elsewhere=dict.fromkeys(("cd test-pacs", "./setup_all_pacs.sh", "python3 test-pacs", "lsof"), SEED),
        lab=False,
    ),
}

WORLDS: dict[str, World] = {**GETTING_STARTED, **GUIDES, **RUNNING_IT}
