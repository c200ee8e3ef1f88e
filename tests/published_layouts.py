"""Small folders in the exact layouts that the data sets are published in."""

import numpy as np
import soundfile

VIS_NAMES = {
    "000": "000Animal_Domestic animals_pets_Cat_Growling",
    "001": "001Animal_Domestic animals_pets_Cat_Hiss",
    "017": "017Animal_Livestock_farm animals_Horse_Snort (horse)",
    "020": "020Animal_Wild animals_Bird vocalization, bird call_Chirp_tweet",
    "239": "239Sounds of things_Vehicle_Rail transport",
}


def write_sound(path, seed, seconds=0.2, rate=8_000, **options):
    """Noise that depends on the seed, at a level that is neither silent nor clipped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate))
    soundfile.write(path, noise, rate, **{"format": "WAV", "subtype": "PCM_16", **options})


def write_list(path, names, ends="\r\n", start="\ufeff"):
    """One name a line without header; with BOM, CRLF and blank lines by default."""
    path.write_bytes((start + ends.join(["", *names, "", ""])).encode())


VIMSKETCH_KEYS = [
    "000Animal_Domestic animals_pets_Cat_Growling",
    "017Animal_Livestock_farm animals_Horse_Snort (horse)",
    "020Animal_Wild animals_Bird vocalization, bird call_Chirp_tweet",
    "000-abyss_of_despair-commercial_synthesizers",  # number of a Vocal Imitation Set concept
    "213-trumpet_playing-everyday",
]


def make_vimsketch(folder, keys=VIMSKETCH_KEYS, imitations=4, upper=(), **listing):
    """VimSketch: one reference a key, and imitations of each; ``upper`` keys end in .WAV on disk.

    Returns (names of references, names of imitations) as listed.
    """
    references = [f"{number:03d}_{key}.wav" for number, key in enumerate(keys, 1)]
    queries = [
        f"{number * imitations + k:05d}_{key}.wav"
        for number, key in enumerate(keys)
        for k in range(imitations)
    ]
    for seed, (place, name) in enumerate(
        [("references", n) for n in references] + [("vocal_imitations", n) for n in queries]
    ):
        loud = any(key in name for key in upper)
        write_sound(folder / place / (name.replace(".wav", ".WAV") if loud else name), seed)
    write_list(folder / "reference_file_names.csv", references, **listing)
    write_list(folder / "vocal_imitation_file_names.csv", queries, **listing)
    return references, queries


def make_vis(folder, concepts=VIS_NAMES, imitations=3, others=2, nested=False):
    """The Vocal Imitation Set; concept 239 has no non-references. ``nested``: one folder each."""
    seed = 0
    original = folder / "original_recordings"
    for number, name in concepts.items():
        write_sound(original / "reference" / f"{name}_reference.wav", seed := seed + 1)
        for k in range(others if number != "239" else 0):
            place = original / "non_reference"
            file = f"{k}__user__snort {k}.wav"
            path = place / name / file if nested else place / f"{name}_{file}"
            write_sound(path, seed := seed + 1)
        for k in range(imitations):
            participant = 5658964113162240 + k
            place = folder / "vocal_imitations" / "included"
            write_sound(place / f"{name} - {participant}.wav", seed := seed + 1)
    write_sound(folder / "vocal_imitations" / "excluded" / "000 draft - 1.wav", 999)
    return folder


RECORDINGS = [  # file name, label, label id; two of them share a label, as in the published table
    ("abyss_of_despair.wav", "abyss of despair", "11"),
    ("camera_capturing.wav", "camera", "12"),
    ("guitar.wav", "guitar", "13"),
    ("guitar_playing.wav", "guitar", "14"),
    ("bass_bowed.wav", "bass (bowed)", "15"),
]
HEADER = "id,filename,stimulus_type,included,draft,sound_label,sound_label_id,sound_recording,note"


def make_vocalsketch(folder, extra=(), second="vocal_imitaitons_set2.csv", header=HEADER):
    """VocalSketch: heard imitations of all recordings, and some of people who read the label."""
    lines = ["id,filename,sound_label,sound_label_id,audio_concept_subset"]
    for seed, (file, label, number) in enumerate(RECORDINGS):
        write_sound(folder / "sound_recordings" / file, seed)
        lines.append(f"9{seed},{file},{label},{number},everyday sounds")
    (folder / "sound_recordings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [
        f'{n},{label} - {n}.wav,sound recording,True,False,{label},,{file},"a gong, I think"'
        for n, (file, label, _) in enumerate(RECORDINGS)
    ]
    rows += [
        "70,guitar - 70.wav,sound label,True,False,guitar,14,,",
        "71,camera - 71.wav,sound label,True,False,camera,,,",
    ]
    for row in rows:
        name = row.split(",")[1]
        write_sound(folder / "vocal_imitations" / "included" / name, 100 + int(row.split(",")[0]))
    rows += ["80,camera - 80.wav,sound recording,False,True,camera,,camera_capturing.wav,", *extra]
    table = "\ufeff" + "\r\n".join([header, *rows, "", ",,,,,,,,"])
    (folder / "vocal_imitations.csv").write_bytes(table.encode())
    # The second set was saved by a spreadsheet: TRUE and FALSE, rounded ids, another encoding.
    row = "4.6E+15,camera - 71.wav,sound recording,TRUE,FALSE,camera,,camera_capturing.wav,G\xfciro"
    (folder / second).write_bytes(f"{header}\r\n{row}\r\n".encode("cp1252"))
    write_sound(folder / "vocal_imitations_set2" / "included" / "camera - 71.wav", 300)
    return folder
