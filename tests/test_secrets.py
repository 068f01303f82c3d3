"""Secrets are taken out of a text, and nothing else is.

No secret stands in this file: values are put together at run time, from parts and from characters that a seeded
generator draws, so that no scanner takes the tests themselves for a leak.
"""

from __future__ import annotations

import base64
import json
import random
import string

import lancedb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_service import client, isolate, repository, stop_service, until_symbol, write

from indexer import paths
from indexer.messages import PackRequest, TokenizerRef
from indexer.parsing.languages import language_of
from indexer.secrets.redaction import MARK, redact, suspicious_places

LETTERS = string.ascii_letters
ALNUM = LETTERS + string.digits
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits


def drawn(alphabet: str, count: int, seed: int) -> str:
    source = random.Random(f"{alphabet}{count}{seed}")
    return "".join(source.choice(alphabet) for _ in range(count))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def key_block(kind: str, seed: int, end: str = "\n") -> str:
    head, foot = (
        f"-----{word} {kind}PRIVATE KEY{' BLOCK' * ('PGP' in kind)}-----" for word in ("BEGIN", "END")
    )
    body = end.join(drawn(BASE64, 64, seed + number) for number in range(6))
    return f"{head}{end}{body}{end}{foot}"


# kind, file, what stands around the value, the value (by seed)
PLANTED = [
    ("AWS key id", "a.py", 'client(aws_access_key_id="{}")', lambda n: "AK" + "IA" + drawn(UPPER, 16, n)),
    ("AWS key id in prose", "a.md", "Use the key {} for the bucket.",
     lambda n: "AS" + "IA" + drawn(UPPER, 16, n)),
    ("AWS secret", "a.ts", "const awsSecretAccessKey = '{}';", lambda n: drawn(BASE64, 40, n)),
    ("AWS secret in a configuration", "config", "aws_secret_access_key = {}", lambda n: drawn(BASE64, 40, n)),
    ("Google API key", "a.js", 'initMap("{}")', lambda n: "AI" + "za" + drawn(URLSAFE, 35, n)),
    ("Google OAuth secret", "a.json", '  "client_secret": "{}",',
     lambda n: "GOC" + "SPX-" + drawn(URLSAFE, 28, n)),
    ("Azure storage", "a.cs", 'var c = "AccountName=x;AccountKey={};EndpointSuffix=y";',
     lambda n: drawn(BASE64, 86, n) + "=="),
    ("Azure client secret", "a.py", 'credential = ClientSecretCredential(t, c, "{}")',
     lambda n: drawn(ALNUM, 3, n) + "8" + "Q~" + drawn(ALNUM + "_.-~", 33, n)),
    ("GitHub", "a.sh", "git clone https://{}@github.com/a/b", lambda n: "gh" + "p_" + drawn(ALNUM, 36, n)),
    ("GitHub, fine-grained", "a.yml", "  run: gh auth login {}",
     lambda n: "github" + "_pat_" + drawn(ALNUM, 22, n) + "_" + drawn(ALNUM, 59, n)),
    ("GitLab", "a.py", 'gitlab.Gitlab(private_token="{}")', lambda n: "gl" + "pat-" + drawn(URLSAFE, 20, n)),
    ("Slack token", "a.go", 'slack.New("{}")',
     lambda n: "xo" + "xb-" + drawn(string.digits, 12, n) + "-" + drawn(string.digits, 12, n) + "-"
     + drawn(ALNUM, 24, n)),
    ("Slack webhook", "a.rb", 'post "{}", body',
     lambda n: "https://hooks.slack" + f".com/services/T{drawn(UPPER, 8, n)}/B{drawn(UPPER, 8, n)}/"
     + drawn(ALNUM, 24, n)),
    ("Stripe", "a.php", "$stripe = new Client('{}');", lambda n: "sk" + "_live_" + drawn(ALNUM, 24, n)),
    ("Stripe, restricted", "a.java", 'Stripe.apiKey = "{}";',
     lambda n: "rk" + "_live_" + drawn(ALNUM, 30, n)),
    ("Twilio", "a.py", 'Client(account, "{}")', lambda n: "S" + "K" + drawn(HEX, 32, n)),
    ("Twilio token", "a.py", 'TWILIO_AUTH_TOKEN = "{}"', lambda n: drawn(HEX, 32, n)),
    ("SendGrid", "a.js", 'sg.setApiKey("{}")',
     lambda n: f"S{'G'}." + drawn(URLSAFE, 22, n) + "." + drawn(URLSAFE, 43, n)),
    ("npm", "a.yaml", "NPM_TOKEN: {}", lambda n: "np" + "m_" + drawn(ALNUM, 36, n)),
    ("npm in a registry's line", "npm.txt", "//registry.npmjs.org/:_authToken={}",
     lambda n: "np" + "m_" + drawn(ALNUM, 36, n)),
    ("PyPI", "a.toml", 'password = "{}"', lambda n: "py" + "pi-AgEIcHlwaS5vcmc" + drawn(URLSAFE, 120, n)),
    ("OpenAI", "a.py", 'openai.api_key = "{}"',
     lambda n: "s" + "k-" + drawn(ALNUM, 20, n) + "T3Blbk" + "FJ" + drawn(ALNUM, 20, n)),
    ("OpenAI, project", "a.py", "client = OpenAI('{}')", lambda n: "s" + "k-proj-" + drawn(URLSAFE, 120, n)),
    ("Anthropic", "a.ts", 'new Anthropic({{ apiKey: "{}" }})',
     lambda n: "s" + "k-ant-api03-" + drawn(URLSAFE, 93, n) + "AA"),
    ("Hugging Face", "a.ipynb", '"login(\\"{}\\")\\n",', lambda n: "h" + "f_" + drawn(LETTERS, 34, n)),
    ("JWT", "a.http.txt", "Authorization: Bearer {}",
     lambda n: ".".join(
         [encoded({"alg": "HS256", "typ": "JWT"}), encoded({"sub": drawn(LOWER, 9, n)}), drawn(URLSAFE, 43, n)]
     )),
    ("basic auth address", "a.py", 'get("https://ada:{}@internal.corp.net/x")',
     lambda n: drawn(ALNUM, 12, n)),
    ("database address", "a.rs", 'connect("postgres://app:{}@db.corp.net:5432/main")',
     lambda n: drawn(ALNUM, 10, n) + "%21"),
    ("database address, short", "settings.ini", "url = mongodb+srv://root:{}@cluster0.corp.net/db",
     lambda n: "s3cr" + "3t"),
    ("database address without a user", "a.yml", "REDIS_URL: redis://:{}@cache:6379/0",
     lambda n: drawn(ALNUM, 20, n)),
    ("password", "a.py", 'password = "{}"', lambda n: drawn(ALNUM + "!#%&*", 14, n)),
    ("password that people make", "a.py", "DB_PASSWORD: str = '{}'", lambda n: "Summer" + "Rain" + "42!"),
    ("password in a call", "a.kt", 'connect(user = "ada", password = "{}")', lambda n: drawn(ALNUM, 12, n)),
    ("password as a constant", "wp-config.php", "define('DB_PASSWORD', '{}');",
     lambda n: drawn(ALNUM + "!#%&*", 16, n)),
    ("password in a comment", "a.c", "/* root password: {} */", lambda n: drawn(ALNUM + "!#%&*", 12, n)),
    ("password in XML", "a.xml", "<password>{}</password>", lambda n: drawn(ALNUM, 12, n)),
    ("password in a properties file", "a.properties", "spring.datasource.password={}",
     lambda n: drawn(ALNUM, 12, n)),
    ("password in a dictionary", "a.py", 'settings["password"] = b"{}"', lambda n: drawn(ALNUM, 12, n)),
    ("password that is compared", "a.py", 'if "{}" == password:', lambda n: drawn(ALNUM, 12, n)),
    ("password as a default", "a.py", 'os.environ.get("DB_PASSWORD", "{}")', lambda n: drawn(ALNUM, 12, n)),
    ("password in a container", "Dockerfile", "ENV MYSQL_PASSWORD {}", lambda n: drawn(ALNUM, 12, n)),
    ("password as an option", "run.sh", "mysql --user root --password={} db", lambda n: drawn(ALNUM, 12, n)),
    ("password in a connection string", "a.cs", 'var c = "Server=x;User Id=sa;Password={};";',
     lambda n: drawn(ALNUM, 12, n)),
    ("Go", "a.go", 'password := "{}"', lambda n: drawn(ALNUM, 12, n)),
    ("Rust", "a.rs", 'let api_key: &str = "{}";', lambda n: drawn(ALNUM, 24, n)),
    ("generic API key", "a.json", '  "apiKey": "{}",', lambda n: drawn(HEX, 32, n)),
    ("generic API key as a UUID", "a.yaml", "api_key: {}",
     lambda n: "-".join(drawn(HEX, count, n + count) for count in (8, 4, 5, 3, 12))),
    ("secret key", "settings.py", "SECRET_KEY = '{}'", lambda n: drawn(LOWER + "!@#$%^&*-_=+", 50, n)),
    ("header", "a.py", 'headers = {{"X-Api-Key": "{}"}}', lambda n: drawn(ALNUM, 24, n)),
    ("basic header", "a.py", 'headers = {{"Authorization": "Basic {}"}}',
     lambda n: base64.b64encode(f"ada:{drawn(ALNUM, 14, n)}".encode()).decode()),
    ("no name at all", "a.py", 'sign("{}")', lambda n: drawn(URLSAFE, 43, n) + "7"),
    ("Mailchimp", "a.py", 'Mailchimp("{}")', lambda n: drawn(LOWER, 32, n) + "-us" + "12"),
    ("Square", "a.rb", 'token: "{}"', lambda n: "sq0" + "csp-" + drawn(URLSAFE, 43, n)),
    ("Discord", "a.js", 'client.login("{}")',
     lambda n: "M" + drawn(ALNUM, 23, n) + "." + drawn(ALNUM, 6, n) + "." + drawn(URLSAFE, 27, n)),
    ("Telegram", "a.py", 'Bot("{}")', lambda n: drawn("123456789", 10, n) + ":" + drawn(URLSAFE, 35, n)),
    ("Vault", "a.tf", 'token = "{}"', lambda n: "hv" + "s." + drawn(URLSAFE, 90, n)),
    ("DigitalOcean", "a.tf", 'variable "t" {{ default = "{}" }}',
     lambda n: "do" + "p_v1_" + drawn(HEX, 64, n)),
    ("Shopify", "a.py", "session = ('{}')", lambda n: "shp" + "at_" + drawn(HEX, 32, n)),
    ("Docker", "a.yml", "- docker login -p {}", lambda n: "dckr" + "_pat_" + drawn(URLSAFE, 27, n)),
    ("age", "a.txt", "{}", lambda n: "AGE-SECRET" + "-KEY-1" + drawn(UPPER, 58, n)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "around", "value"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED]
)
def test_a_planted_secret_is_redacted(path, around, value):
    for seed in range(40):
        secret = value(seed)
        before, after = (part.replace("{{", "{").replace("}}", "}") for part in around.split("{}"))
        text = f"first line\n{before}{secret}{after}\nlast = 'line'\n"
        redaction = redact(text, language_of(path))
        assert secret not in redaction.text, (secret, redaction.text)
        assert len(redaction.text) == len(text)
        assert {line for line, _ in redaction.found} == {1}
        lines = redaction.text.split("\n")
        assert (lines[0], lines[2]) == ("first line", "last = 'line'")
        assert lines[1].endswith(after), lines[1]
        kept = before.split("https://")[0] if "hooks" in secret else before
        assert lines[1].startswith(kept) or "AccountKey" in kept or "_authToken" in kept, lines[1]
        half = max(6, len(secret) // 3)
        assert secret[:half] not in lines[1] and secret[-half:] not in lines[1], lines[1]


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "OPENSSH ", "DSA ", "ENCRYPTED ", "PGP ", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n"])
def test_the_body_of_a_private_key_goes_and_its_lines_stay(kind, end):
    block = key_block(kind, 7, end)
    text = f"key = '''{block}'''\nafter = 1\n"
    redaction = redact(text, "python")
    assert len(redaction.text) == len(text) and redaction.text.count("\n") == text.count("\n")
    assert redaction.text.endswith("'''\nafter = 1\n")
    for line in block.split(end)[1:-1]:
        assert line[8:] not in redaction.text


def test_a_service_account_loses_its_key():
    account = {
        "type": "service_account",
        "project_id": "foreword",
        "private_key_id": drawn(HEX, 40, 1),
        "private_key": key_block("", 3) + "\n",
        "client_email": "robot@foreword.iam.gserviceaccount.com",
    }
    redaction = redact(json.dumps(account, indent=2), "json")
    assert json.loads(redaction.text)["client_email"] == account["client_email"]
    for line in account["private_key"].split("\n")[1:-2]:
        assert line not in redaction.text


HARMLESS = [
    ("a.py", 'password = ""'),
    ("a.py", 'password = "password"'),
    ("a.py", 'password = "your-password-here"'),
    ("a.py", 'password = "changeme123"'),
    ("a.py", "password = os.environ['DB_PASSWORD_2']"),
    ("a.py", "password = get_password(user_1, realm)"),
    ("a.py", 'password = "{{ db_password1 }}"'),
    ("a.py", 'password = f"{prefix}-{number}1"'),
    ("a.py", 'password_field = "id_password2"'),
    ("a.py", 'token_url = "https://example.org/oauth2/token"'),
    ("a.py", 'tokenizer = "cl100k_base-v2"'),
    ("a.py", 'key = "graph_attr_default1"'),
    ("a.py", 'raise KeyError("the key is not in G1!")'),
    ("a.py", "self.auth = httpx.BasicAuth('user', 'pass')"),
    ("a.py", 'url = "https://username:password@example.org:8080/"'),
    ("a.py", 'url = "postgres://postgres:postgres@localhost:5432/test1"'),
    ("a.py", 'url = f"https://{user}:{password}@{host}/"'),
    ("a.py", 'request_id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"'),
    ("a.py", 'assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"'),
    ("a.py", 'assert digest == "rL0Y20zC+Fzt72VPzMSk2A9xQ5f0m1hE3nKqTbWvUgI="'),
    ("a.py", "commit = '9e107d9d372bb6826bd81d3542a419d6deadbeef'"),
    ("a.py", 'COLOUR = "#1e90ff"; SHADE = "#1E90FF80"'),
    ("a.py", 'ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"'),
    ("a.py", "test_isomorphism_2_of_DirectedAcyclicGraphs3_with_MultiEdges4(graph)"),
    ("a.py", 'name = "test_isomorphism_2_of_DirectedAcyclicGraphs3_with_MultiEdges4"'),
    ("a.py", 'module = "networkx/algorithms/isomorphism/tests/test_vf2pp2_helpers3.py"'),
    ("a.py", 'icon = "data:image/png;base64,' + drawn(BASE64, 300, 1) + '"'),
    ("a.py", 'icon = "' + drawn(BASE64, 300, 1) + '"'),
    ("a.py", 'KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")'),
    ("a.py", 'vector = "' + drawn(HEX, 64, 2) + '"'),
    ("a.js", "const passwordStrengthMeterV2 = createPasswordStrengthMeterV2(options1);"),
    ("a.js", "<input type='password' name='password1' id='login-password-2' autocomplete='new-password'>"),
    ("a.css", ".token.punctuation2 { color: #f8f8f2aa; background: url(a1b2c3d4.png) }"),
    ("package-lock.json", '"integrity": "sha512-' + drawn(BASE64, 86, 3) + '==",'),
    ("yarn.lock", "  integrity sha512-" + drawn(BASE64, 86, 4) + "=="),
    ("yarn.lock", 'resolved "https://registry.yarnpkg.com/js-tokens/-/js-tokens-4.0.0.tgz#' + drawn(HEX, 40, 5) + '"'),
    ("go.sum", "github.com/google/uuid v1.6.0 h1:" + drawn(BASE64, 43, 6) + "="),
    ("uv.lock", 'wheels = [{ url = "https://a.org/token-1.0.whl", hash = "sha256:' + drawn(HEX, 64, 7) + '" }]'),
    ("Cargo.lock", 'checksum = "' + drawn(HEX, 64, 8) + '"'),
    ("a.md", "The `token` is a string; see https://example.org/docs/tokens#section-2-of-7 for its format."),
    ("a.md", "Set `password: <your password>` and `api_key: ${API_KEY_2}` in the file."),
    ("a.yaml", "password: ${{ secrets.DB_PASSWORD_2 }}"),
    ("a.yaml", "key: ${{ runner.os }}-pip-${{ hashFiles('**/requirements2.txt') }}"),
    ("a.html", '<script src="a.js" integrity="sha384-' + drawn(BASE64, 64, 9) + '" crossorigin></script>'),
    ("a.txt", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + drawn(BASE64, 43, 1) + " ada@example.org"),
    ("a.py", 'if line == "-----BEGIN " + "PRIVATE KEY-----":'),
    ("a.py", 'password = "' + drawn(ALNUM, 14, 5) + '"  # pragma: allowlist secret'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "line"), HARMLESS, ids=range(len(HARMLESS)))
def test_ordinary_code_is_left_alone(path, line):
    assert redact(f"{line}\n", language_of(path)).text == f"{line}\n"


def test_what_is_redacted_once_is_not_redacted_again():
    text = "".join(around.replace("{}", value(1)) + "\n" for _, _, around, value in PLANTED)
    once = redact(text, None).text
    assert MARK in once
    assert redact(once, None).text == once


def test_columns_after_wide_characters_stay():
    secret = drawn(ALNUM, 30, 1)
    text = f'grüße = "🚀日本"; api_key = "{secret}"; nächste = 1\n'
    found = redact(text, "python")
    assert found.text == text.replace(secret, MARK.ljust(len(secret), "*"))


@given(st.text(max_size=400), st.sampled_from([None, "python", "yaml", "json"]))
def test_any_text_keeps_its_lines_and_its_length(text, language):
    redacted = redact(text, language).text
    assert len(redacted) == len(text)
    assert [len(line) for line in redacted.split("\n")] == [len(line) for line in text.split("\n")]


@pytest.mark.parametrize(
    "text",
    [
        "password=" * 6_000,
        '"' * 50_000,
        "a1" * 25_000,
        "://" * 16_000,
        "://a:" * 10_000,
        "token: 'a1b2c3d4e5" * 3_000,
        "eyJ" * 16_000,
        "-----BEGIN PRIVATE KEY-----\n" * 2_000,
        "sk-" + "a1B2-" * 10_000,
        ("key='" + drawn(ALNUM, 40, 1) + "', ") * 1_000,
    ],
    ids=range(10),
)
@pytest.mark.timeout(60)
def test_hostile_lines_come_to_an_end(text):
    """Each takes well below a second; an expression that goes back and forth would take hours."""
    assert len(redact(text, None).text) == len(text)


def test_what_may_not_hold_a_secret_is_not_looked_at_twice():
    code = b"def area_of_circle(radius: float) -> float:\n    return 3.14159265358979 * radius**2\n" * 1_000
    assert list(suspicious_places(code, bare=False)) == []


# ---------------------------------------------------------------- end to end


@pytest.fixture
async def service(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


def _planted(seed: int) -> tuple[dict[str, str], list[str]]:
    """Files with one secret of each kind, each in a function that others call; and the secrets."""
    files: dict[str, str] = {}
    secrets: list[str] = []
    for number, (_, path, around, value) in enumerate(PLANTED):
        secret = value(seed)
        line = around.replace("{{", "{").replace("}}", "}").replace("{}", secret)
        files[f"kinds/k{number}/{path}"] = f"{line}\n"
        quoted = line.strip() if path != "Dockerfile" else "nothing"  # needs no sign between name and value
        files[f"called/c{number}.py"] = (
            f'def called_{number}(password="{drawn(ALNUM, 16, number)}"):\n'
            f'    """Uses {quoted} here."""\n    # {quoted}\n    return password\n'
        )
        secrets += [secret, drawn(ALNUM, 16, number)]
    calls = [
        f"from called.c{number} import called_{number}\ncalled_{number}()\n" for number in range(len(PLANTED))
    ]
    files["use.py"] = "".join(calls)
    files["pem.py"] = f'KEY = """{key_block("RSA ", seed)}"""\n\ndef with_a_key():\n    pass\n'
    secrets += key_block("RSA ", seed).split("\n")[1:-1]
    return files, secrets


def _held(secrets: list[str], text: str) -> list[str]:
    """Secrets of which at least half can be read in `text`."""
    return [
        it for it in secrets if it in text or it[len(it) // 2 :] in text or it[: len(it) // 2 + 6] in text
    ]


async def test_no_secret_is_in_any_table_pack_answer_or_log(service, tmp_path):
    files, secrets = _planted(1)
    root = repository(tmp_path / "work", files)
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert (status.state, status.skipped) == ("ready", {"holds a private key": 1})
        # one where it is used, and in the code about it a default value, a docstring and a comment
        assert status.redacted == sum(2 if path == "Dockerfile" else 4 for _, path, _, _ in PLANTED)
        answers: list[str] = []
        for number in range(len(PLANTED)):
            answers.append(repr(await connected.symbols(str(root), name=f"called_{number}")))
            answers.append(repr(await connected.search(str(root), f"called_{number} password", 50)))
        unknown = [number for number in range(len(PLANTED)) if f"called_{number}" not in answers[2 * number]]
        assert unknown == []
        answers += [repr(await connected.search(str(root), secret, 50)) for secret in secrets[:80]]
        text = files["use.py"]
        for line in range(0, 2 * len(PLANTED), 8):
            request = PackRequest(str(root / "use.py"), text, line + 1, 6, 60_000, TokenizerRef())
            answers.append(repr(await connected.pack(request)))
        assert "def called_" in answers[-1]
        assert _held(secrets, "\n".join(answers)) == []
        # saved again, and renamed
        write(root / "called/c0.py", files["called/c0.py"] + "\ndef called_again():\n    pass\n")
        await until_symbol(connected, root, "called_again")
    await stop_service()
    tables = lancedb.connect(next(paths.store_folder().glob("v*")))
    rows = 0
    for name in tables.list_tables().tables:
        table = tables.open_table(name).to_arrow()
        rows += table.num_rows
        for column in table.columns:
            assert _held(secrets, repr(column.to_pylist())) == [], name
    assert rows > len(files)
    for file in [*paths.cache_folder().rglob("*"), *paths.runtime_folder().rglob("*")]:
        if file.is_file():
            assert _held(secrets, file.read_bytes().decode("latin-1")) == [], file


async def test_unsaved_texts_are_redacted_for_others_and_not_for_their_own_completion(service, tmp_path):
    secret = drawn(ALNUM, 24, 1)
    root = repository(tmp_path / "work", {"a.py": "x = 1\n", "b.py": "from a import connect\n\nconnect()\n"})
    unsaved = f'def connect(password="{secret}"):\n    return password\n'
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        await connected.overlay(str(root / "a.py"), unsaved)
        text = (root / "b.py").read_text()
        pack = await connected.pack(PackRequest(str(root / "b.py"), text, 2, 7, 4_000, TokenizerRef()))
        assert "def connect" in repr(pack) and secret not in repr(pack)
        assert secret not in repr(await connected.symbols(str(root), name="connect"))


async def test_a_document_that_comes_to_hold_a_key_hides_what_was_saved_of_it(service, tmp_path):
    root = repository(tmp_path / "work", {"a.py": "def connect():\n    pass\n", "b.py": "connect()\n"})
    request = PackRequest(str(root / "b.py"), "connect()\n", 0, 7, 4_000, TokenizerRef())
    shown: list[bool] = []
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        for unsaved in (None, f"def connect_all():\n    pass\n{key_block('RSA ', 3)}\n", None):
            await connected.overlay(str(root / "a.py"), unsaved)
            told = [await connected.symbols(str(root), name=name) for name in ("connect", "connect_all")]
            pack = await connected.pack(request)
            assert "connect_all" not in repr([*told, pack])
            shown.append("def connect" in repr(told) and "def connect" in repr(pack))
            assert shown[-1] or "def connect" not in repr([*told, pack])
    assert shown == [True, False, True]


async def test_a_file_taken_back_in_by_name_is_shown_without_its_secrets(service, tmp_path):
    block = key_block("RSA ", 2)
    secret = drawn(ALNUM, 24, 2)
    root = repository(
        tmp_path / "work",
        {
            ".forewordignore": "!fixtures/test.pem\n!app.env\n",
            "fixtures/test.pem": f"{block}\nzeppelin\n",
            "app.env": f"DB_PASSWORD={secret}\nHOST=zeppelin\n",
        },
    )
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        hits = (await connected.search(str(root), "zeppelin")).hits
        assert {hit.path for hit in hits} >= {"fixtures/test.pem", "app.env"}
        assert _held([secret, *block.split("\n")[1:-1]], repr(hits)) == []
