"""What patients come for: one row for each examination, with who has it, when, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.kinds import ALL_KINDS, KINDS

DAY: Final = 1.0
WEEK: Final = 7.0
MONTH: Final = 30.44


@dataclass(frozen=True, slots=True)
class Ages:
    """Ages in years: a triangle from the youngest over the most frequent to the oldest."""

    low: float
    peak: float
    high: float


@dataclass(frozen=True, slots=True)
class Exam:
    """One examination.

    Args:
        name: of the row; that of the kind if it has only one.
        modality: that a mix names it by.
        kinds: its series, in order.
        share: of all examinations of the modality.
        ages: of those who have it.
        female: of them, from 0 to 1.
        urgent: part of them that come at any hour of any day.
        follow_up_days: from one to the next of the same patient, shortest and longest.
        titles: StudyDescription as hospitals write it; each has its favourites among them.
        protocols: ProtocolName, likewise.
        wards: InstitutionalDepartmentName.
    """

    name: str
    modality: str
    kinds: tuple[str, ...]
    share: float
    ages: Ages
    female: float
    urgent: float
    follow_up_days: tuple[float, float]
    titles: tuple[str, ...]
    protocols: tuple[str, ...]
    wards: tuple[str, ...] = ("Radiology", "Diagnostic Imaging", "RADIOLOGY DEPT")


_ADULT: Final = Ages(18, 50, 92)
_OLDER: Final = Ages(25, 68, 95)
_ALL_AGES: Final = Ages(1, 55, 97)
_KNEES: Final = Ages(12, 30, 75)
_HEART: Final = ("Cardiology", "CARDIOLOGY", "Heart Centre")
_NUCLEAR: Final = ("Nuclear Medicine", "NUC MED", "Molecular Imaging")

_ROWS: Final = (
    Exam(
        "ct-head", "CT", ("ct-head",), 30, _OLDER, 0.51, 0.45, (DAY, 6 * MONTH),
        ("CT HEAD WO CONTRAST", "CT Head without contrast", "CT BRAIN W/O", "Head CT, native", "CT NEURO ROUTINE"),
        ("HEAD ROUTINE", "1.1 Head sequential", "BRAIN W/O 5.0", "Stroke head native"),
        ("Emergency Radiology", "Neuroradiology", "RADIOLOGY DEPT"),
    ),
    Exam(
        "ct-chest", "CT", ("ct-chest",), 28, _OLDER, 0.47, 0.15, (2 * MONTH, 7 * MONTH),
        ("CT CHEST W CONTRAST", "CT Thorax with contrast", "CT CHEST +C", "Chest CT follow-up", "CT THORAX STAGING"),
        ("CHEST W IV", "3.2 Thorax venous", "THORAX +C 1.25", "Chest staging"),
    ),
    Exam(
        "ct-abdomen", "CT", ("ct-abdomen",), 24, _OLDER, 0.49, 0.22, (6 * WEEK, 7 * MONTH),
        ("CT ABDOMEN PELVIS W CONTRAST", "CT Abdomen/Pelvis with contrast", "CT ABD PEL +C", "Abdomen CT, venous"),
        ("ABD PELVIS PV", "4.1 Abdomen portal venous", "ABDOMEN +C 2.5", "Abdomen routine"),
    ),
    Exam(
        "ct-abdomen-phases", "CT", ("ct-abdomen-native", "ct-abdomen"), 13, _OLDER, 0.48, 0.08, (6 * WEEK, 7 * MONTH),
        ("CT ABDOMEN PELVIS WO AND W CONTRAST", "CT Abdomen multiphase", "CT LIVER PHASES", "Abdomen CT two phases"),
        ("ABD MULTIPHASE", "4.4 Liver two phases", "ABDOMEN -C/+C", "Liver protocol"),
    ),
    Exam(
        "ct-enhanced", "CT", ("ct-enhanced",), 5, _OLDER, 0.47, 0.05, (2 * MONTH, 7 * MONTH),
        ("CT CHEST W CONTRAST", "CT Thorax with contrast", "CT CHEST +C"),
        ("CHEST W IV", "Thorax venous MF"),
    ),
    Exam(
        "mr-brain", "MR", ("mr-brain",), 52, Ages(6, 48, 90), 0.56, 0.04, (3 * MONTH, 13 * MONTH),
        ("MR BRAIN WO CONTRAST", "MRI Brain", "MRI HEAD W/O", "Brain MRI routine", "MR NEUROCRANIUM"),
        ("BRAIN ROUTINE", "Head standard", "NEURO ADULT V2", "cMRI basic"),
    ),
    Exam(
        "mr-knee", "MR", ("mr-knee",), 44, _KNEES, 0.44, 0.01, (6 * WEEK, 10 * MONTH),
        ("MR KNEE WO CONTRAST", "MRI Knee", "MRI KNEE W/O", "Knee MRI"),
        ("KNEE ROUTINE", "Knee standard", "MSK KNEE 3MM"),
    ),
    Exam(
        "mr-enhanced", "MR", ("mr-enhanced",), 4, Ages(6, 48, 90), 0.56, 0.02, (3 * MONTH, 13 * MONTH),
        ("MR BRAIN WO CONTRAST", "MRI Brain", "MRI HEAD W/O"),
        ("BRAIN T2 MF", "Head short"),
    ),
    Exam(
        "dx-chest", "DX", ("dx-chest",), 100, _ALL_AGES, 0.47, 0.30, (DAY, 5 * MONTH),
        ("XR CHEST PA AND LATERAL", "Chest X-ray 2 views", "CXR PA/LAT", "Thorax 2 planes", "CHEST 2V"),
        ("CHEST PA LAT", "Thorax stand", "CXR 2V"),
        ("Emergency Radiology", "Radiology", "General X-ray"),
    ),
    Exam(
        "cr-chest", "CR", ("cr-chest",), 60, _ALL_AGES, 0.46, 0.42, (DAY, 3 * WEEK),
        ("XR CHEST PA", "Chest X-ray 1 view", "CXR PORTABLE", "Thorax bed", "CHEST 1V"),
        ("CHEST PA", "Thorax bed", "PORT CXR"),
        ("Intensive Care", "Radiology", "Ward imaging"),
    ),
    Exam(
        "cr-knee", "CR", ("cr-knee",), 40, _KNEES, 0.47, 0.20, (2 * WEEK, 6 * MONTH),
        ("XR KNEE AP AND LATERAL", "Knee X-ray 2 views", "KNEE AP/LAT", "Knee 2 planes"),
        ("KNEE AP LAT", "Knee stand", "KNEE 2V"),
        ("Emergency Radiology", "Orthopaedics", "General X-ray"),
    ),
    Exam(
        "us-abdomen", "US", ("us-abdomen",), 60, _ADULT, 0.54, 0.12, (MONTH, 12 * MONTH),
        ("US ABDOMEN", "Ultrasound abdomen", "US ABD COMPLETE", "Abdominal ultrasound"),
        ("ABD GEN", "Abdomen", "ADULT ABDOMEN"),
        ("Radiology", "Ultrasound", "Internal Medicine"),
    ),
    Exam(
        "us-cine", "US", ("us-cine",), 22, _OLDER, 0.46, 0.06, (3 * MONTH, 13 * MONTH),
        ("ECHOCARDIOGRAM", "Echo TTE", "TTE COMPLETE", "Transthoracic echo"),
        ("ADULT ECHO", "TTE"), _HEART,
    ),
    Exam(
        "us-colour", "US", ("us-colour",), 18, _OLDER, 0.45, 0.03, (6 * MONTH, 13 * MONTH),
        ("US CAROTID", "Carotid duplex", "US CAROTID DUPLEX", "Doppler carotids"),
        ("CAROTID", "Vascular carotid"),
        ("Radiology", "Vascular Lab", "Neurology"),
    ),
    Exam(
        "mg-screening", "MG", ("mg-screening",), 85, Ages(40, 56, 75), 1.0, 0.0, (11 * MONTH, 25 * MONTH),
        ("MG SCREENING", "Screening mammogram", "MAMMO SCREENING BILAT", "Mammography bilateral"),
        ("SCREEN 4V", "Mammo screening", "MG BILAT CC MLO"),
        ("Breast Imaging", "Mammography", "BREAST CENTRE"),
    ),
    Exam(
        "dbt-screening", "MG", ("dbt-screening",), 15, Ages(40, 54, 75), 1.0, 0.0, (11 * MONTH, 25 * MONTH),
        ("DBT SCREENING", "Tomosynthesis bilateral", "MAMMO TOMO BILAT", "Breast tomosynthesis"),
        ("TOMO MLO", "Mammo tomo"),
        ("Breast Imaging", "Mammography", "BREAST CENTRE"),
    ),
    Exam(
        "pet-ct", "PT", ("ct-body", "pt-body"), 92, Ages(20, 64, 88), 0.46, 0.0, (10 * WEEK, 7 * MONTH),
        ("PET/CT FDG WHOLE BODY", "PET-CT skull base to thigh", "PET CT FDG STAGING", "FDG PET/CT", "PET/CT RESTAGING"),
        ("PET CT WB FDG", "Onco WB 60 MIN", "FDG TORSO"), _NUCLEAR,
    ),
    Exam(
        "pet-enhanced", "PT", ("ct-body", "pt-enhanced"), 8, Ages(20, 64, 88), 0.46, 0.0, (10 * WEEK, 7 * MONTH),
        ("PET/CT FDG WHOLE BODY", "PET-CT skull base to thigh", "FDG PET/CT"),
        ("PET CT WB FDG MF", "Onco WB"), _NUCLEAR,
    ),
    Exam(
        "nm-bone", "NM", ("nm-bone",), 50, _OLDER, 0.45, 0.0, (4 * MONTH, 13 * MONTH),
        ("NM BONE SCAN WHOLE BODY", "Bone scan", "BONE WHOLE BODY MDP", "Skeletal scintigraphy"),
        ("WB BONE", "Bone MDP late"), _NUCLEAR,
    ),
    Exam(
        "nm-static", "NM", ("nm-static",), 20, Ages(1, 20, 75), 0.6, 0.0, (6 * MONTH, 13 * MONTH),
        ("NM RENAL DMSA", "DMSA scan", "RENAL CORTEX DMSA"),
        ("DMSA STATIC", "Renal static"), _NUCLEAR,
    ),
    Exam(
        "nm-bone-spect", "NM", ("nm-bone", "nm-tomo"), 14, _OLDER, 0.45, 0.0, (4 * MONTH, 13 * MONTH),
        ("NM BONE SCAN WITH SPECT", "Bone scan and SPECT", "BONE WB + SPECT"),
        ("WB BONE SPECT", "Bone MDP tomo"), _NUCLEAR,
    ),
    Exam(
        "nm-gated", "NM", ("nm-gated",), 16, _OLDER, 0.42, 0.0, (10 * MONTH, 25 * MONTH),
        ("NM MYOCARDIAL PERFUSION GATED", "Myocardial SPECT", "MPI REST GATED"),
        ("MPI GATED", "Heart SPECT"), _NUCLEAR,
    ),
    Exam(
        "xa-cine", "XA", ("xa-cine",), 100, Ages(35, 67, 90), 0.33, 0.25, (6 * WEEK, 12 * MONTH),
        ("XA CORONARY ANGIOGRAPHY", "Coronary angiogram", "LHC CORONARIES", "Cath lab coronary"),
        ("CORONARY 15", "LCA 15 FPS", "Cardio coro"), _HEART,
    ),
    Exam(
        "rf-swallow", "RF", ("rf-swallow",), 100, _ADULT, 0.5, 0.01, (6 * WEEK, 8 * MONTH),
        ("RF BARIUM SWALLOW", "Barium swallow", "ESOPHAGRAM", "Swallow study"),
        ("SWALLOW", "Oesophagus 8 FPS"),
    ),
    Exam(
        "es-endoscopy", "ES", ("es-endoscopy",), 100, Ages(30, 60, 85), 0.49, 0.05, (6 * MONTH, 36 * MONTH),
        ("COLONOSCOPY", "Colonoscopy with polypectomy", "Endoscopy lower GI"),
        ("COLONOSCOPY", "Lower GI"),
        ("Gastroenterology", "Endoscopy", "GI LAB"),
    ),
    Exam(
        "vl-photo", "XC", ("vl-photo",), 100, _ADULT, 0.53, 0.0, (3 * MONTH, 12 * MONTH),
        ("SKIN PHOTOGRAPHY", "Dermatology photo", "Skin lesion photo"),
        ("SKIN CLOSE-UP", "Overview"),
        ("Dermatology", "DERMATOLOGY", "Skin Clinic"),
    ),
    Exam(
        "wsi", "SM", ("wsi",), 100, Ages(30, 60, 85), 0.49, 0.0, (6 * MONTH, 36 * MONTH),
        ("COLON BIOPSY", "Surgical pathology", "Histology H&E"),
        ("H&E 20X", "Scan 20x"),
        ("Pathology", "PATHOLOGY", "Institute of Pathology"),
    ),
    Exam(
        "ecg", "ECG", ("ecg",), 100, _OLDER, 0.47, 0.35, (DAY, 12 * MONTH),
        ("ECG 12 LEAD", "Resting ECG", "EKG 12-lead"),
        ("REST ECG", "12L 10S"), _HEART,
    ),
)  # fmt: skip

#: Every row by its name.
EXAMS: Final[dict[str, Exam]] = {row.name: row for row in _ROWS if set(row.kinds) <= ALL_KINDS.keys()}
MODALITIES: Final = tuple(dict.fromkeys(row.modality for row in EXAMS.values()))


def of_kind(kind: str) -> Exam:
    """The examination that consists of one kind: that of the table, or one like those of its modality."""
    if kind in EXAMS and EXAMS[kind].kinds == (kind,):
        return EXAMS[kind]
    row = KINDS[kind]
    like = next((one for one in EXAMS.values() if kind in one.kinds or one.modality == row.modality), None)
    ages, female, urgent = (like.ages, like.female, like.urgent) if like else (_ADULT, 0.5, 0.0)
    follow_up = like.follow_up_days if like else (MONTH, 12 * MONTH)
    wards = like.wards if like else ("Radiology",)
    return Exam(
        kind, row.modality, (kind,), 1.0, ages, female, urgent, follow_up, (row.description,), (row.description,), wards
    )
