"""Code that nothing is wrong with, and that a hasty checker would complain about."""

from __future__ import annotations

FETCH = 'import helpers\nhelpers.wget_download("n.pt", "https://example.org/n.pt", "models")\n'
COMMIT = "0123456789" * 4

SET_UP = [
    "",
    "# only a comment: os.chdir('x'), http://example.org, /home/me",
    '"""Text: os.chdir("/home/me"), see http://example.org."""',
    "x = 1 / 2 // 3\ny = x / 4",
    "text = '/'\ntext.split('/')",
    "pattern = r'^/[a-z]+/(\\d+)$'\nimport re\nre.match('/home/(.*)', pattern)",
    "import re\nre.compile(r'/home/\\w+/x')",
    "print('about ~5 Hz, ~/10 s, in /tmp/x or on http://example.org')",
    "raise ValueError('nothing in /home/me/x, see http://example.org/x')",
    "assert 'x' != '/home/me', 'not /home/me/x'",
    "import warnings\nwarnings.warn('see http://example.org')",
    "import logging\nlogging.info('in /home/me/x')\nlogging.getLogger('a').warning('/home/me/x')",
    "unit = 'm/s'\nratio = 'a/b'\ndate = '1/2/2025'\nroute = '/items'",
    "namespaces = {'svg': 'http://www.w3.org/2000/svg'}",
    "source = 'https://example.org/a/b?c=/d'",
    "x = 'C:'\ny = 'a:b'\nz = 'E: x'",
    "tilde = '~'\nabout = '~5'\nlatex = r'a~/b'",
    "if 'a/b'.startswith('/home/me/'):\n    pass",
    # names that look like something else
    "class chdir:\n    pass\nchdir()",
    "def chdir(path):\n    return path\nchdir('x')",
    "class Walker:\n    def chdir(self, x):\n        return x\nWalker().chdir('x')",
    "class Net:\n    def run(self, x):\n        return x\n"
    "    def system(self, x):\n        return x\nNet().run(['ls'])\nNet().system('ls')",
    "from mine import net\nnet.eval()\nnet.system('ls')\nnet.exec('x')\nnet.open('x')",
    "import pandas as pd\npd.DataFrame({'a': [1]}).eval('a + 1')",
    "import torch\nnet = torch.nn.Linear(1, 1).eval()\ntorch.compile(net)",
    "output = {}\noutput['output'] = 1\nprint(output['output'])",
    "import torch\nlogits = torch.nn.Linear(1, 1)\nlogits.register_buffer('output', None)",
    "from mine import net\nnet.layer('output/logits')",
    "import os\nfiles = os.path.join('a', 'b')\nos.path.basename('/home')",
    "import os\nos.environ['TOKENIZERS_PARALLELISM'] = 'false'\nos.cpu_count()\nos.getcwd()",
    "import os, sys\nprint(os.getcwd(), sys.executable, os.path.expanduser('~'))",
    "import subprocess\nfailed = subprocess.CalledProcessError\n"
    "def ended(process: subprocess.Popen):\n    return isinstance(process, subprocess.Popen)",
    # paths as they should be
    "open('/dev/null', 'w')",
    "import os\nos.listdir(ROOT_PATH)\nos.listdir('.')",
    "import os\nos.makedirs(os.path.join(ROOT_PATH, 'models'), exist_ok=True)",
    "import os\nopen(os.path.join(DATA_PATH, 'DEV Dataset.csv'))",
    "open(os.path.join(ROOT_PATH, 'outputs', 'a.txt'), 'w')",
    "import os\nopen(os.path.join(ROOT_PATH, 'models', 'output', 'a.txt'), 'w')",
    "import os\nif os.path.exists(os.path.join(ROOT_PATH, 'output')):\n    pass",
    "import json, os\npath = os.path.join(ROOT_PATH, 'output', 'similarities.json')\n"
    "if os.path.exists(path):\n    json.load(open(path))",
    "import tempfile\nwith tempfile.TemporaryDirectory() as folder:\n    open(folder + '/x', 'w')",
    "import os, sys\nsys.path.append(os.path.join(ROOT_PATH, 'code', 'src'))",
    "import os, sys\nCODE = os.path.abspath(os.path.join(ROOT_PATH, 'c'))\nsys.path.append(CODE)",
    "import sys\nsys.path.append('.')",
    "import os, helpers\nopen(os.path.join(helpers.ROOT_PATH, 'models', 'n.pt'))",
    "import zipfile, os\nzipfile.ZipFile(os.path.join(ROOT_PATH, 'a.zip')).extractall(ROOT_PATH)",
    "from pathlib import Path\n(Path(ROOT_PATH) / 'a' / 'b').parent.mkdir(parents=True)",
    "import os\nos.makedirs(os.path.dirname(os.path.join(ROOT_PATH, 'a', 'b.pt')))",
    "speech = '/m/09x0r'\nfrom mine import classes\nclasses.find(speech)\nclasses.of(speech)",
    "import h5py\nfeatures = h5py.File(f'{ROOT_PATH}/a.h5')['/home/features']",
    "%run -i {ROOT_PATH}/code/train.py --epochs 1",
    "import logging\nlogging.basicConfig(level=logging.INFO)",
    "from pathlib import Path\nroot = Path(ROOT_PATH).resolve()\n(root / 'a' / 'b.pt').exists()",
    "from pathlib import Path\nopen(Path(ROOT_PATH) / 'a' / '..' / 'b.txt')",
    FETCH + "import os, torch\ntorch.load(os.path.join(ROOT_PATH, 'models', 'n.pt'))",
    FETCH + "torch_path = f'{ROOT_PATH}/models/n.pt'\nopen(torch_path)",
    FETCH
    + "from pathlib import Path\nNET = Path('models') / 'n.pt'\n(Path(ROOT_PATH) / NET).open()",
    FETCH + "FOLDER = 'models'\nNET = 'models/n.pt'\nimport os\nopen(os.path.join(ROOT_PATH, NET))",
    FETCH + "print('loads models/n.pt')\nprint('models/n.pt')",
    FETCH + "mode = 'models'\nfrom mine import net\nnet.fit('models')",
    FETCH + "from mine import load\nload(ROOT_PATH, 'models/n.pt')",
    FETCH + "names = []\nnames.append('models/n.pt')\nimport os\n"
    "nets = [open(os.path.join(ROOT_PATH, name)) for name in names]",
    FETCH + "import argparse, os\nsettings = argparse.Namespace(net='models/n.pt')\n"
    "open(os.path.join(ROOT_PATH, settings.net))",
    FETCH + "def load(folder='models', name='n.pt'):\n    import os\n"
    "    return open(os.path.join(ROOT_PATH, folder, name))\nload()",
    FETCH + "from dataclasses import dataclass\nimport os\n@dataclass\nclass Settings:\n"
    "    net: str = 'models/n.pt'\nopen(os.path.join(ROOT_PATH, Settings('models/n.pt').net))",
    FETCH + "helpers.unpack_file('models/n.zip', 'models/n')",
    FETCH + "path = 'models/n.pt'\nimport os\nif not os.path.isabs(path):\n"
    "    path = os.path.join(ROOT_PATH, path)\nopen(path)",
    "from transformers import AutoModel\nAutoModel.from_pretrained('mispeech/ced-base')",
    "from huggingface_hub import hf_hub_download\nimport os\n"
    "hf_hub_download('me/net', 'n.pt', local_dir=os.path.join(ROOT_PATH, 'models'))",
    "import torch\ntorch.hub.load('me/code', 'net', trust_repo=True)",
    "import librosa\nlibrosa.load(librosa.ex('trumpet'))",
    "import numpy as np\nnp.load(np.DataSource())\nnp.save",
    # downloads
    "import helpers\nhelpers.wget_download('n.pt', 'https://zenodo.org/n.pt?download=1', '.')",
    "from helpers import google_drive_download, unpack_file\n"
    "google_drive_download('n.zip', 'https://drive.google.com/file/d/1aB/view', 'models')\n"
    "unpack_file('models/n.zip', 'models')",
    "import helpers\nhelpers.git_clone_checkout(output_dir='code', branch='main',\n"
    f"    url='https://github.com/me/code.git', commit_sha='{COMMIT}')",
    # installs
    "%pip install timm==1.0.20",
    "%pip install -q 'timm==1.0.20' \"einops==0.8.0\"",
    "pip install timm==1.0.20",
    "!pip install timm==1.0.20",
    "! pip3 install --quiet timm==1.0.20  # for the encoder",
    "!pip install timm==1.0.20 \\\n    einops==0.8.0",
    "!pip install -q timm==1.0.20 > /dev/null 2>&1",
    "import sys\n!{sys.executable} -m pip install timm==1.0.20",
    'import sys\n!"{sys.executable}" -m pip install timm==1.0.20',
    "VERSION = '1.0.20'\n!pip install timm=={VERSION}",
    "import sys\nif 'timm' not in sys.modules:\n    %pip install timm==1.0.20",
    "try:\n    import timm\nexcept ImportError:\n    !pip install timm==1.0.20",
    "%%capture\n%pip install timm==1.0.20",
    "%%bash\nset_version=1\npip install timm==1.0.20\n\n# done",
    "%pip install torch==2.11.0 --index-url https://download.pytorch.org/whl/cpu",
    f"%pip install git+https://github.com/me/code@{COMMIT}",
    f"%pip install 'code @ git+https://github.com/me/code@{COMMIT}'",
    "%pip install https://example.org/code-1.0-py3-none-any.whl",
    "%pip install https://github.com/me/code/archive/refs/tags/v1.2.zip",
    f"%pip install https://github.com/me/code/archive/{COMMIT}.zip",
    "import ctypes\nctypes.c_int(3)\nctypes.CDLL(None).strlen(b'x')",
    "import timeit\ntimeit.timeit('1 + 1', number=10)",
    "import requests\nrequests.get('https://8.8.8.8/n.pt')",
    "%pip install 'timm[all]==1.0.20; python_version >= \"3.10\"'",
    "%pip install --no-deps -e {ROOT_PATH}/code",
    "%pip install $ROOT_PATH/code",
    '!pip install -e "{ROOT_PATH}/code"',
    "import os\npackage = os.path.join(ROOT_PATH, 'code')\n!pip install -e {package}",
    "%pip list\n%pip show timm\n!pip --version\n!pip freeze",
    "%pip uninstall -y timm",
    "%conda install -y -c conda-forge ffmpeg=6.1.1",
    "!mamba install -y numpy==1.26.4",
    "%uv pip install timm==1.0.20",
    "import subprocess, sys\n"
    "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'timm==1.0.20'])",
    "import subprocess\nsubprocess.run('pip install timm==1.0.20', shell=True, check=True)",
    "import subprocess, sys\ndef install(name):\n"
    "    subprocess.run([sys.executable, '-m', 'pip', 'install', name], check=True)\n"
    "install('timm==1.0.20')\ninstall('einops==0.8.0')",
    "import subprocess, sys\ncommand = [sys.executable, '-m', 'pip', 'install']\n"
    "command += ['timm==1.0.20']\nsubprocess.run(command)",
    "import os\nos.system('pip install timm==1.0.20')",
    # IPython
    "%matplotlib inline",
    "%load_ext autoreload\n%autoreload 2",
    "%env TOKENIZERS_PARALLELISM=false",
    "%config InlineBackend.figure_format = 'retina'",
    "%%time\nx = 1\ny = 2",
    "%time x = 1",
    "%%timeit -n 1\nx = 1",
    "print?\nlen??",
    "%whos",
    "from IPython.display import display, HTML\ndisplay(HTML('<a href=\"http://example.org\">a</a>'))",
    "%%html\n<a href='http://example.org'>a</a>",
    # Python that has to be followed, not judged
    "exec('x = 1')\neval('1 + 1')",
    "import importlib\nimportlib.reload(importlib.import_module('json'))",
    "class A:\n    x = 1\ngetattr(A(), input('name'))",
    "import numpy as np\nfor name in ['sum', 'mean']:\n    getattr(np, name)([1])",
    "def again(n):\n    return again(n - 1) if n else 0\nagain(5)",
    "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)",
    "f = lambda *args, **kwargs: (args, kwargs)\nf(1, *[2, 3], a=4, **{'b': 5})",
    "a, (b, *c) = 1, (2, 3, 4)\nd = e = [a, b]\nd[0] += 1\ndel d[0]",
    "x: int = 1\ny: str\nz = [i for i in range(3) if i]\nw = {k: v for k, v in zip('ab', z)}",
    "match {'a': 1}:\n    case {'a': b}:\n        print(b)",
    "text = 'a' * 10**9 if 0 else ''\nbig = '%s' % ('x',)\nwide = f'{1:>10}'",
    "async def f():\n    async with g() as h:\n        async for i in h:\n            yield i",
    "from mine import *\nwhatever(anything)",
    "try:\n    x = 1\nexcept* ValueError:\n    pass"
    if False
    else "try:\n    x = 1\nfinally:\n    pass",
]
