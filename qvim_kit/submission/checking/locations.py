"""Which calls open files, and whether the path they are given is one that a submission may use.

A text is taken for a path where it is used as one: an argument of a function in `FILE_CALLS`, or
of a method in `FILE_METHODS`. There a path must start at ROOT_PATH or DATA_PATH. Any other call
may be given any text, except one that can hardly be anything but a path: one below a folder that
the notebook downloads into (``models/net.pt`` after ``wget_download(..., "models")``), or an
absolute one with the first folder of somebody's machine (`MACHINE_FOLDERS`). A slash alone, a URL,
a pattern or ``~5 Hz`` is no path. /dev/null and its like are allowed.

Notebook: 05_submission.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qvim_kit.submission.reading.texts import DATA, HOME, PYTHON, ROOT, SOME, WORK, shown, words

MACHINE_FOLDERS = words(
    """home Users root mnt media content kaggle tmp scratch workspace workspaces srv Volumes private
    gpfs lustre nfs gdrive"""
)
PATH_KEYWORDS = words(
    """file filename f fname path fp filepath filepath_or_buffer path_or_buf uri checkpoint_path
    path_or_file dst src dir extract_dir to_path output output_path savedir"""
)
# Whatever is called: arguments of these names are folders that it writes into.
WRITTEN_KEYWORDS = words(
    """cache_dir local_dir savedir save_dir log_dir logdir default_root_dir dirpath data_home
    download_dir out_dir"""
)

# How a call uses its arguments: r and w with their positions; m is `open`, whose mode decides.
_USES = """
m0 open codecs.open gzip.open bz2.open lzma.open zipfile.ZipFile tarfile.open h5py.File
m0 soundfile.SoundFile wave.open shelve.open pathlib.Path.open
r0 numpy.load numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap torch.load torch.jit.load
r0 joblib.load librosa.load librosa.core.load librosa.stream librosa.get_duration
r0 librosa.get_samplerate soundfile.read soundfile.info soundfile.blocks torchaudio.load
r0 torchaudio.info scipy.io.wavfile.read scipy.io.loadmat audioread.audio_open
r0 pandas.read_csv pandas.read_json pandas.read_pickle pandas.read_parquet pandas.read_excel
r0 pandas.read_table pandas.read_hdf pandas.read_feather PIL.Image.open cv2.imread
r0 onnxruntime.InferenceSession safetensors.safe_open safetensors.torch.load_file
r0 pydub.AudioSegment.from_file pydub.AudioSegment.from_wav runpy.run_path
r0 tensorflow.keras.models.load_model keras.models.load_model lightgbm.Booster faiss.read_index
r0 os.listdir os.scandir os.walk os.stat os.lstat os.access os.readlink os.path.exists
r0 os.path.isfile os.path.isdir os.path.getsize os.path.getmtime os.path.islink glob.glob glob.iglob
r0 qvim_kit.audio.load_audio qvim_kit.audio.check_audio qvim_kit.datasets.read_qvim_dev
r0 qvim_kit.datasets.read_vimsketch qvim_kit.datasets.read_clotho qvim_kit.datasets.load_mini
r0 qvim_kit.models.published.load_published qvim_kit.models.load_published site.addsitedir
r0 pathlib.Path.read_text pathlib.Path.read_bytes pathlib.Path.exists pathlib.Path.is_file
r0 pathlib.Path.is_dir pathlib.Path.iterdir pathlib.Path.stat pathlib.Path.glob pathlib.Path.rglob
r0 sys.path.append sys.path.extend sys.path= %run %load %loadpy
r1 sys.path.insert importlib.util.spec_from_file_location importlib.machinery.SourceFileLoader
w0 os.mkdir os.makedirs os.remove os.unlink os.rmdir os.removedirs os.truncate os.chmod os.mkfifo
w0 os.open shutil.rmtree numpy.save numpy.savez numpy.savez_compressed numpy.savetxt
w0 soundfile.write torchaudio.save scipy.io.wavfile.write scipy.io.savemat logging.FileHandler
w0 sqlite3.connect torch.hub.set_dir matplotlib.pyplot.savefig matplotlib.pyplot.imsave cv2.imwrite
w0 faiss.write_index pathlib.Path.write_text pathlib.Path.write_bytes pathlib.Path.mkdir
w0 pathlib.Path.touch pathlib.Path.unlink pathlib.Path.rmdir %writefile %file %save
w0 %logstart %notebook
w1 torch.save joblib.dump torch.jit.save safetensors.torch.save_file urllib.request.urlretrieve
w1 gdown.download git.Repo.clone_from wget.download torch.hub.download_url_to_file onnx.save
w2 torch.onnx.export
w9 logging.basicConfig
r0w1 shutil.copy shutil.copy2 shutil.copyfile shutil.copytree shutil.unpack_archive
w0w1 shutil.move os.rename os.replace os.renames os.link os.symlink pathlib.Path.rename
w0w1 pathlib.Path.replace pathlib.Path.symlink_to pathlib.Path.hardlink_to
"""
_METHOD_USES = """
r0 load_from_checkpoint
w0 to_csv to_parquet to_pickle to_hdf to_feather to_excel tofile savefig save_pretrained extractall
"""
# Where they write, unless they are told: position and name of that argument.
INTO_WORKING_DIRECTORY = {
    "extractall": (0, "path"),
    "gdown.download": (1, "output"),
    "shutil.unpack_archive": (1, "extract_dir"),
    "wget.download": (1, "out"),
}
# Calls whose texts are not paths, or name nothing that is opened.
TEXT_CALLS = words(
    """print str repr len isinstance format input type getattr hasattr setattr dict list tuple set
    sorted enumerate zip map filter any all min max sum iter next super property
    tqdm.tqdm tqdm.auto.tqdm tqdm.notebook.tqdm functools.partial functools.lru_cache pathlib.Path
    pathlib.PurePath pathlib.PurePosixPath os.fspath os.getenv pathlib.PosixPath display @"""
)
TEXT_MODULES = ("re.", "logging.", "warnings.", "argparse.", "os.path.", "json.", "hashlib.")
TEXT_MODULES += ("os.environ", "collections.", "typing.", "string.", "textwrap.", "fnmatch.")
# The same for methods of anything: those that show texts, and those that only keep or join them.
MESSAGE_METHODS = words(
    """info debug warning error exception critical log print write add_argument match fullmatch
    search findall sub startswith endswith format strip set_title set_description set_postfix
    title text suptitle"""
)
CONTAINER_METHODS = words(
    """append add extend insert update setdefault get pop index remove put count items keys
    joinpath glob rglob split join replace relative_to with_name with_suffix is_relative_to"""
)


def _table(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        use, *names = line.split()
        found.update(dict.fromkeys(names, use))
    return found


FILE_CALLS = _table(_USES)
FILE_METHODS = _table(_METHOD_USES)


@dataclass
class Folders:
    """What a notebook says about its folders.

    ``downloads``: the first parts of what it downloads, below ROOT_PATH. ``data``: the parts of
    what it sets DATA_PATH to.
    """

    downloads: set[str] = field(default_factory=set)
    data: tuple[str, ...] = ()


def parts(text: str) -> list[str]:
    """The parts of a path, without the empty ones and the dots."""
    return [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]


def climbs(names: list[str]) -> bool:
    """Whether ``..`` leads out of the folder that a path starts in."""
    return any(names[:n].count("..") * 2 > n for n in range(1, len(names) + 1))


def without_detours(names: list[str]) -> list[str]:
    """``a/../b`` → ``b``."""
    found: list[str] = []
    for name in names:
        if name == ".." and found and found[-1] != "..":
            found.pop()
        else:
            found.append(name)
    return found


def is_absolute(text: str) -> bool:
    """Whether a text is an absolute path, on any system."""
    drive = text[1:2] == ":" and text[:1].isascii() and text[:1].isalpha() and text[2:3] in "/\\"
    return text.startswith(("/", "\\\\")) or (drive and len(text) > 3)


def is_machine_path(text: str) -> bool:
    """Whether a text can hardly be anything but a path on somebody's machine.

    >>> [is_machine_path(text) for text in ("/home/me/net.pt", "~/net.pt", "/", "a/b", "~5 Hz")]
    [True, True, False, False, False]
    """
    if len(text) > 300 or "\n" in text or "://" in text:
        return False
    if text.startswith(("~/", "~\\")):
        return len(text) > 2 and " " not in text
    names = parts(text)
    if not is_absolute(text) or len(names) < 2:
        return False
    return (text[1:2] == ":" and " " not in text) or (
        text[0] == "/" and names[0] in MACHINE_FOLDERS
    )


def path_problem(text: str, folders: Folders, writes: bool, sure: bool) -> tuple[str, str] | None:
    """The rule that a path breaks, and how, as in "is absolute"; None if it may be used.

    ``sure``: the call opens files. Otherwise only what can hardly be anything but a path counts.
    """
    device = text.startswith("/dev/") and ".." not in text
    if not text or device or "://" in text or text[0] in SOME + PYTHON:
        return None
    if text[0] in ROOT + DATA:
        return _below(text[0], text[1:], folders, writes, sure)
    if text[0] == HOME or (text[0] == "~" and (sure or is_machine_path(text))):
        return "outside", "is in the home folder"
    if is_absolute(text):
        return ("outside", "is absolute") if sure or is_machine_path(text) else None
    names = without_detours(parts(text.removeprefix(WORK)))
    if not names or (text[0] == WORK and not text[1:].startswith(("/", "\\"))):
        return None
    if names[0] == ".." and (sure or text[0] == WORK):
        return "outside", "leads out of the working directory"
    if writes and sure and names[0].casefold() == "output":
        return "output", "is in output"
    if folders.data and tuple(names[: len(folders.data)]) == folders.data:
        if sure or len(names) > len(folders.data):
            return "data-path", "starts in the working directory, not in DATA_PATH"
    elif sure or (len(names) > 1 and names[0] in folders.downloads):
        return "root-path", "starts in the working directory, not in ROOT_PATH"
    return None


def _below(
    start: str, rest: str, folders: Folders, writes: bool, sure: bool
) -> tuple[str, str] | None:
    names = parts(rest)
    if sure and rest and rest[0] not in "/\\" + SOME:
        return "root-path", f"is glued to {shown(start)} without a '/' between"
    if climbs(names):
        return "outside", f"leads out of {shown(start)}"
    names = without_detours(names)
    if start == DATA or not names:
        return None
    if writes and names[0].casefold() == "output":
        return "output", "is in ROOT_PATH/output"
    is_data = folders.data and tuple(names[: len(folders.data)]) == folders.data
    if is_data and names[0] not in folders.downloads:
        return "data-path", "does not start in DATA_PATH"
    return None
