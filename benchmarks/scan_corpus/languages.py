"""The languages and formats of the corpus: contexts of a value in each, and blocks of code.

In contexts `§` is the value; `%(n)s`, `%(N)s`, `%(c)s`, `%(P)s`, `%(k)s` are its name in snake,
upper, camel, Pascal and kebab case; `%(w)s`, `%(x)s` are words, `%(h)s` is a host, `%(d)s` a
number. In blocks of code `$a`-`$i` are names in the language's lower case, `$A`-`$F` in Pascal
case, `$U`-`$Z` in upper case, `$0`-`$9` numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One language or format.

    Attributes:
        weight: percentage of the files.
        file: file name, with `%s` for a word.
        named: contexts with the value's name.
        free: contexts without a name.
        keys: contexts of private keys, each with the separator between the lines of a key.
        blocks: pieces of code; empty for those of Python's standard library.
        camel: whether lower-case names are in camel case.
        bare: whether values with spaces and symbols need no quotes.
    """

    weight: int
    file: str
    named: tuple[str, ...]
    free: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    blocks: tuple[str, ...] = ()
    camel: bool = False
    bare: bool = False


_PYTHON = Language(
    45,
    "%s.py",
    named=(
        '%(N)s = "§"',
        "%(N)s = '§'",
        '%(n)s: str = "§"',
        'client = %(w)s.connect(timeout=30, %(n)s="§")',
        'config["%(n)s"] = "§"',
        'settings = {"%(n)s": "§", "timeout": %(d)s}',
        "    '%(n)s': '§',",
        'self._%(n)s = "§"',
        'os.environ["%(N)s"] = "§"',
        'os.environ.setdefault("%(N)s", "§")',
        '%(n)s = os.getenv("%(N)s", "§")',
        'parser.add_argument("--%(k)s", default="§")',
        'if %(n)s == "§":\n    raise ValueError(%(w)s)',
        'def %(w)s(%(x)s, %(n)s="§"):\n    return %(x)s',
        "# %(n)s = '§'",
    ),
    free=(
        "# %(w)s %(x)s: §",
        '%(w)s = load_%(x)s("§")',
        'assert normalize(%(w)s) == ["§", None]',
        '"""%(P)s of the %(w)s service (§)."""',
        'session.headers.update({"Authorization": "Bearer §"})',
        'logger.info("using %%s for %(w)s", "§")',
    ),
    keys=(
        ('%(N)s = """§"""', "\n"),
        ("%(N)s = '''\\\n§\n'''", "\n"),
        ('%(N)s = (\n    "§\\n"\n)', '\\n"\n    "'),
        ('%(N)s = "§\\n"', "\\n"),
        ('%(n)s = load_pem(b"§")', "\\n"),
    ),
)

_JS_NAMED = (
    'const %(c)s = "§";',
    "const %(c)s = '§';",
    "let %(c)s = `§`;",
    "  %(c)s: '§',",
    '  "%(k)s": "§",',
    'this.%(c)s = "§";',
    "process.env.%(N)s = '§';",
    "const %(c)s = process.env.%(N)s || '§';",
    'const %(c)s = process.env.%(N)s ?? "§";',
    "module.exports = { %(c)s: '§', retries: %(d)s };",
    "if (%(c)s === '§') {\n  return next();\n}",
    "const %(w)s = create%(P)s({ region: 'eu', %(c)s: '§' });",
    "// %(c)s: '§'",
)
_JS_FREE = (
    "// %(w)s %(x)s: §",
    "const %(w)s = new %(P)sClient('§');",
    'await %(w)s.login("§");',
    "axios.get(url, { headers: { Authorization: `Bearer §` } });",
    "/* %(x)s §*/",
    "expect(%(w)s.mock.calls[0]).toEqual(['§']);",
)
_JS_KEYS = (
    ("const %(c)s = `§`;", "\n"),
    ('const %(c)s = "§\\n";', "\\n"),
    ("const %(c)s = [\n  '§',\n].join('\\n');", "',\n  '"),
    ("const %(c)s = '§\\n';", "\\n' +\n  '"),
)
_JS_BLOCKS = (
    "export function $a($b, $c) {\n  const $d = $b.filter(($e) => $e.$f > $0);\n"
    "  if (!$d.length) {\n    return null;\n  }\n\n"
    "  return $d.map(($e) => ({ ...$e, $g: $c }));\n}\n",
    "export class $A extends $B {\n  constructor($a, $b) {\n    super($a);\n    this.$c = $b;\n"
    "    this.$d = new Map();\n  }\n\n  async $e($f) {\n    const $g = await this.$c.$h($f);\n"
    "    for (const [$i, $a] of Object.entries($g)) {\n      this.$d.set($i, $a * $0);\n    }\n\n"
    "    return this.$d;\n  }\n}\n",
    "const $U = Object.freeze({\n  $a: $0,\n  $b: $1,\n  $c: '$d',\n});\n\n"
    "function $e($f) {\n  switch ($f.type) {\n    case '$a':\n      return $U.$a;\n    case '$b':\n"
    "      return $U.$b + $2;\n    default:\n      throw new Error(`unexpected ${$f.type}`);\n"
    "  }\n}\n",
    "describe('$a $b', () => {\n  it('keeps $c when $d is empty', async () => {\n"
    "    const $e = await $f({ $c: $0 });\n    expect($e.$c).toBe($0);\n  });\n\n"
    "  it('drops $g', () => {\n    expect($h([$0, $1])).toHaveLength($2);\n  });\n});\n",
    "router.get('/$a/:$b', async (req, res, next) => {\n  try {\n"
    "    const $c = await $A.findOne({ $b: req.params.$b });\n    if (!$c) {\n"
    "      return res.status($0).end();\n    }\n\n    res.json($c.$d());\n  } catch ($e) {\n"
    "    next($e);\n  }\n});\n",
    "import { $A, $B } from '../$a/$b';\nimport $c from './$d.js';\n\n"
    "export const $e = ($f) => $f.reduce(($g, $h) => $g + $h.$i, $0);\n",
    "/**\n * Joins the $a of each $b with its $c.\n *\n * @param {Object} $d the $b to read\n"
    " * @returns {Promise<Array>} one $c for each\n */\nconst $e = debounce(($d) => {\n"
    "  window.requestAnimationFrame(() => $f.scrollTo($0, $d.offsetTop - $1));\n}, $2);\n",
)
_JS = Language(8, "%s.js", _JS_NAMED, _JS_FREE, _JS_KEYS, _JS_BLOCKS, camel=True)
_TS = Language(
    8,
    "%s.ts",
    named=(
        *_JS_NAMED,
        'private readonly %(c)s: string = "§";',
        "export const %(N)s: string = '§';",
        "const options: %(P)sOptions = { %(c)s: '§' };",
    ),
    free=_JS_FREE,
    keys=_JS_KEYS,
    blocks=(
        *_JS_BLOCKS,
        "export interface $A {\n  $a: string;\n  $b?: number;\n  readonly $c: Array<$B>;\n"
        "  $d($e: $B, $f: boolean): Promise<void>;\n}\n",
        "@Injectable()\nexport class $A implements OnInit {\n  private $a = new Subject<$B>();\n\n"
        "  constructor(private readonly $b: $C, public $c: number = $0) {}\n\n"
        "  ngOnInit(): void {\n    this.$b.$d().pipe(takeUntil(this.$a)).subscribe(($e: $B) => {\n"
        "      this.$c = $e.$f + $1;\n    });\n  }\n}\n",
    ),
    camel=True,
)
_GO = Language(
    7,
    "%s.go",
    named=(
        '%(c)s := "§"',
        'const %(P)s = "§"',
        'var %(c)s string = "§"',
        "\t%(P)s: `§`,",
        '\t%(P)s: "§",',
        'os.Setenv("%(N)s", "§")',
        'cfg["%(n)s"] = "§"',
        'viper.SetDefault("%(w)s.%(n)s", "§")',
        'flag.StringVar(&%(c)s, "%(k)s", "§", "the %(w)s to use")',
        'if %(c)s != "§" {\n\treturn err%(P)s\n}',
        '// %(c)s := "§"',
    ),
    free=(
        "// %(w)s %(x)s: §",
        'client := %(w)s.New("§", nil)',
        'req.Header.Set("Authorization", "Bearer §")',
        '{name: "%(w)s", in: "§", want: true},',
    ),
    keys=(
        ("const %(c)s = `§`", "\n"),
        ('var %(c)s = []byte("§\\n")', "\\n"),
        ('var %(c)s = "§\\n"', '\\n" +\n\t"'),
    ),
    blocks=(
        "func $a($b []$A, $c int) ([]$A, error) {\n\tvar $d []$A\n\tfor _, $e := range $b {\n"
        "\t\tif $e.$B > $c {\n\t\t\t$d = append($d, $e)\n\t\t}\n\t}\n\n\tif len($d) == $0 {\n"
        '\t\treturn nil, fmt.Errorf("no $f in %d $g", len($b))\n\t}\n\n\treturn $d, nil\n}\n',
        '// $A holds the $a of one $b.\ntype $A struct {\n\t$B string `json:"$c"`\n'
        '\t$C int    `json:"$d,omitempty"`\n\tmu sync.Mutex\n}\n\n'
        "func ($e *$A) $D(ctx context.Context) error {\n\t$e.mu.Lock()\n\tdefer $e.mu.Unlock()\n\n"
        "\tselect {\n\tcase <-ctx.Done():\n\t\treturn ctx.Err()\n"
        "\tcase <-time.After($0 * time.Second):\n\t\t$e.$C += $1\n\t}\n\n\treturn nil\n}\n",
        'package $a\n\nimport (\n\t"context"\n\t"fmt"\n\t"sync"\n\n\t"github.com/$b/$c/$d"\n)\n',
        "func Test$A(t *testing.T) {\n\ttests := []struct {\n\t\tname string\n\t\t$a int\n"
        '\t\twant bool\n\t}{\n\t\t{"$b", $0, true},\n\t\t{"$c", $1, false},\n\t}\n'
        "\tfor _, tt := range tests {\n\t\tt.Run(tt.name, func(t *testing.T) {\n"
        '\t\t\tif got := $d(tt.$a); got != tt.want {\n\t\t\t\tt.Errorf("got %v", got)\n'
        "\t\t\t}\n\t\t})\n\t}\n}\n",
    ),
    camel=True,
)
_JAVA = Language(
    7,
    "%s.java",
    named=(
        'private static final String %(N)s = "§";',
        'String %(c)s = "§";',
        'this.%(c)s = "§";',
        'builder.set%(P)s("§");',
        'props.put("%(w)s.%(k)s", "§");',
        'System.setProperty("%(w)s.%(n)s", "§");',
        '@Value("${%(w)s.%(k)s:§}")\nprivate String %(c)s;',
        'assertThat(%(c)s).isEqualTo("§");',
        '// String %(c)s = "§";',
        'if ("§".equals(%(c)s)) {\n    return;\n}',
    ),
    free=(
        "// %(w)s %(x)s: §",
        " * {@code §} is the %(w)s.",
        'request.header("Authorization", "Bearer §");',
        'new %(P)sClient("§", %(d)s).open();',
    ),
    keys=(
        ('static final String %(N)s = "§\\n";', '\\n"\n        + "'),
        ('static final String %(N)s = """\n    §\n    """;', "\n    "),
        ('String %(c)s = "§";', "\\n"),
    ),
    blocks=(
        "public List<$A> $a(final Collection<$A> $b, int $c) {\n"
        "    List<$A> $d = new ArrayList<>();\n"
        "    for ($A $e : $b) {\n        if ($e.get$B() > $c) {\n            $d.add($e);\n"
        "        }\n"
        "    }\n\n    return $d.subList($0, Math.min($1, $d.size()));\n}\n",
        "@Override\npublic boolean equals(Object $a) {\n    if (!($a instanceof $A)) {\n"
        "        return false;\n    }\n\n    $A $b = ($A) $a;\n"
        "    return $c == $b.$c && Objects.equals($d, $b.$d);\n}\n",
        "/**\n * The $a of a {@link $A}, read once and kept.\n *\n * @since $0.$1\n */\n"
        "public class $A implements $B<$C> {\n"
        "    private final Map<String, $C> $b = new HashMap<>();\n"
        '    private int $c = $2;\n\n    protected $A($C $d) {\n        $b.put("$e", $d);\n'
        "        $c++;\n    }\n}\n",
        'try (InputStream $a = $A.class.getResourceAsStream("/$b.xml")) {\n'
        '    $B $c = $d.parse($a);\n    LOG.debug("{} of {}", $c.get$C(), $0);\n'
        "} catch (IOException $e) {\n    throw new UncheckedIOException($e);\n}\n",
        "package org.$a.$b;\n\nimport java.util.List;\nimport org.$a.$c.$A;\n"
        "import org.$a.$d.$B;\n",
    ),
    camel=True,
)
_C = Language(
    5,
    "%s.c",
    named=(
        '#define %(N)s "§"',
        'static const char *%(n)s = "§";',
        'const char %(n)s[] = "§";',
        'conf->%(n)s = "§";',
        'set_option(ctx, "%(n)s", "§");',
        'if (strcmp(%(n)s, "§") == 0)\n\treturn -EPERM;',
        '\t.%(n)s = "§",',
        '/* %(n)s = "§" */',
    ),
    free=(
        "/* %(w)s %(x)s: § */",
        'curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, "§");',
        '%(w)s_open(&%(x)s, "§", %(d)s);',
        "// §",
    ),
    keys=(('static const char %(n)s[] =\n\t"§\\n";', '\\n"\n\t"'), ('#define %(N)s "§\\n"', "\\n")),
    blocks=(
        "static int $a(struct $b *$c, size_t $d)\n{\n\tsize_t $e;\n\n\tif (!$c || $d > $U)\n"
        "\t\treturn -EINVAL;\n\n\tfor ($e = 0; $e < $d; $e++) {\n\t\t$c->$f[$e] &= 0x$0;\n"
        "\t\t$c->$g += $c->$f[$e] >> 3;\n\t}\n\n\treturn $h($c, $1);\n}\n",
        "/*\n * The $a of each $b is kept in a ring, so that $c need not be locked.\n */\n"
        "struct $b {\n\tuint32_t $d;\n\tuint16_t $e[$0];\n\tstruct $f *next;\n};\n",
        "#ifdef $U\n# define $V(x) ((x) << $0 | (x) >> $1)\n#else\n# define $V(x) $a(x, $0)\n"
        "#endif\n\n"
        '#include <$b.h>\n#include "$c/$d.h"\n',
        'void $a(void)\n{\n\tint $b = open("/dev/$c", O_RDONLY);\n\n\tif ($b < 0) {\n'
        '\t\tperror("$c");\n\t\tgoto out;\n\t}\n\n\twhile ($d($b, $0) > $1)\n'
        '\t\tfprintf(stderr, "%s: %d\\n", __func__, $e);\nout:\n\tclose($b);\n}\n',
    ),
)
_YAML = Language(
    5,
    "%s.yaml",
    named=(
        "%(n)s: §",
        '%(n)s: "§"',
        "%(c)s: '§'",
        "%(k)s: §",
        '- name: %(N)s\n  value: "§"',
        "- name: %(N)s\n  value: §",
        "- %(N)s=§",
        "%(w)s: {%(n)s: §, port: %(d)s}",
        'args: ["--%(k)s=§", "-v"]',
        "- --%(k)s=§",
        "# %(n)s: §",
        "%(n)s: § # of %(w)s",
    ),
    free=("# %(w)s %(x)s: §", "- §", "- run: %(w)s login §", 'command: %(w)s --from "§"'),
    keys=(("%(n)s: |\n  §", "\n  "), ('%(n)s: "§\\n"', "\\n"), ("%(c)s: >-\n    §", "\n    ")),
    blocks=(
        "$a:\n  image: registry.local/$b/$c:$0\n  replicas: $1\n  resources:\n    limits:\n"
        "      cpu: $2m\n      memory: $3Mi\n  labels:\n    app: $b\n    tier: $d\n\n",
        "- name: install $a\n  package:\n    name: [$b, $c]\n    state: present\n"
        "  when: $d is defined\n"
        "  notify:\n    - restart $e\n\n",
        "  $a-$b:\n    runs-on: ubuntu-latest\n    needs: [$c]\n    steps:\n      - name: $d\n"
        "        run: |\n          make $e JOBS=$0\n          ./scripts/$f.sh --$g\n\n",
        "$a:\n  enabled: true\n  interval: $0s\n  $b:\n    - $c\n    - $d\n  $e: $1\n\n",
    ),
    bare=True,
)
_JSON = Language(
    3,
    "%s.json",
    named=('  "%(c)s": "§",', '  "%(n)s": "§",', '  "%(N)s": "§",', '  "%(w)s": {"%(c)s": "§"},'),
    free=('  "%(w)s": ["§", "%(x)s"],', '  "description": "%(P)s of %(w)s, see §",'),
    keys=(('  "%(n)s": "§\\n",', "\\n"),),
    blocks=(
        '  "$a": {\n    "$b": $0,\n    "$c": true,\n    "$d": ["$e", "$f"],\n    "$g": "$h"\n'
        "  },\n",
        '  "$a": [\n    {"$b": $0, "$c": "$d"},\n    {"$b": $1, "$c": "$e"}\n  ],\n  "$f": null,\n',
    ),
    camel=True,
)
_TOML = Language(
    2,
    "%s.toml",
    named=(
        '%(n)s = "§"',
        "%(n)s = '§'",
        '%(k)s="§"',
        '%(w)s = { %(n)s = "§", retries = %(d)s }',
        '# %(n)s = "§"',
    ),
    free=("# %(w)s %(x)s: §", '%(w)s = ["§", "%(x)s"]'),
    keys=(('%(n)s = """\n§\n"""', "\n"), ('%(n)s = "§\\n"', "\\n")),
    blocks=(
        '[$a.$b]\n$c = $0\n$d = "$e"\n$f = ["$g", "$h"]\n\n',
        '[[$a]]\nname = "$b"\nweight = $0.5\nenabled = false\n\n',
        "# $a is read before $b.\n$c = true\n$d = $0\n\n",
    ),
)
_INI = Language(
    2,
    "%s.ini",
    named=("%(n)s = §", "%(n)s=§", "%(c)s: §", "; %(n)s = §", "%(N)s = §"),
    free=("; %(w)s %(x)s: §", "# §"),
    keys=(("%(n)s = §", "\n  "), ("%(n)s = §\\n", "\\n")),
    blocks=(
        "[$a]\n$b = $0\n$c = $d\n; $e of $f\n$g = true\n\n",
        "[$a:$b]\n$c = /var/lib/$d\n$e = $0, $1\n\n",
    ),
    bare=True,
)
_ENV = Language(
    2,
    ".env.%s",
    named=("%(N)s=§", '%(N)s="§"', "%(N)s='§'", "export %(N)s=§", 'export %(N)s="§"', "# %(N)s=§"),
    free=("# %(w)s %(x)s: §",),
    keys=(('%(N)s="§\\n"', "\\n"), ('%(N)s="§"', "\n")),
    blocks=("$U=$0\n$V=$a\n$W=/srv/$b/$c\n\n", "# $a of $b\n$U=true\n$V=$0s\n\n"),
)
_PROPERTIES = Language(
    1,
    "%s.properties",
    named=(
        "%(w)s.%(k)s=§",
        "%(w)s.%(n)s = §",
        "spring.%(w)s.%(c)s: §",
        "%(x)s.%(w)s.%(k)s=§",
        "# %(w)s.%(k)s=§",
    ),
    free=("# %(w)s %(x)s: §",),
    keys=(("%(w)s.%(k)s=§\\n", "\\n"), ("%(w)s.%(k)s=§", "\\n\\\n  ")),
    blocks=("$a.$b.$c=$0\n$a.$b.$d=$e\n\n", "# $a\n$b.$c.class=org.$d.$e.$A\n$b.$c.size=$0\n\n"),
    bare=True,
)
_DOCKERFILE = Language(
    1,
    "Dockerfile.%s",
    named=(
        "ENV %(N)s=§",
        "ENV %(N)s §",
        'ENV %(N)s="§"',
        "ARG %(N)s=§",
        "ENV %(W)s=%(w)s \\\n    %(N)s=§",
        'RUN %(w)s configure --%(k)s "§"',
    ),
    free=(
        'RUN curl -fsSL -H "Authorization: Bearer §" https://%(h)s/%(w)s | tar xz',
        'LABEL %(w)s="§"',
        "# %(w)s: §",
        "RUN %(w)s login §",
    ),
    keys=(('RUN printf "§\\n" > /root/.ssh/id', "\\n"), ('ENV %(N)s="§"', "\\n\\\n")),
    blocks=(
        "FROM debian:bookworm-slim AS $a\nWORKDIR /opt/$b\nCOPY $c/ ./$c/\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends $d $e\nEXPOSE $0\n\n",
        'USER $a\nENTRYPOINT ["/usr/bin/$b", "--$c"]\nHEALTHCHECK --interval=$0s CMD $d -q\n\n',
    ),
)
_SH = Language(
    3,
    "%s.sh",
    named=(
        "export %(N)s=§",
        '%(N)s="§"',
        "%(N)s='§'",
        '%(N)s="${%(N)s:-§}"',
        '%(w)s --%(k)s "§" --verbose',
        "%(w)s login --%(k)s=§",
        "%(N)s=§ ./%(w)s.sh %(x)s",
        'kubectl create secret generic %(w)s --from-literal=%(k)s="§"',
        "sed -i 's/@%(N)s@/§/' %(w)s.conf",
        "# export %(N)s=§",
    ),
    free=(
        'curl -sf -H "Authorization: Bearer §" "https://%(h)s/%(w)s" | jq .%(x)s',
        "# %(w)s: §",
        'echo "§" | %(w)s --stdin',
        "%(w)s %(x)s § || exit 1",
    ),
    keys=(("cat > id_%(w)s <<'EOF'\n§\nEOF", "\n"), ('%(N)s="§"', "\n")),
    blocks=(
        '$a() {\n  local $b="${1}"\n  for $c in "${$b}"/*.$d; do\n    [ -e "$c" ] || continue\n'
        '    $e --$f "$c" > "/tmp/$g.$0"\n  done\n}\n\n',
        'if ! command -v $a > /dev/null; then\n  echo "$a is missing" >&2\n  exit $0\nfi\n\n',
        'set -euo pipefail\ncd "$(dirname "${BASH_SOURCE}")/../$a"\nmake -j$0 $b $c\n\n',
    ),
)
_TERRAFORM = Language(
    2,
    "%s.tf",
    named=(
        '%(n)s = "§"',
        '  %(n)s       = "§"',
        'variable "%(n)s" {\n  type    = string\n  default = "§"\n}',
        '    %(N)s = "§"',
        '    name  = "%(N)s"\n    value = "§"',
        'resource "%(w)s" "%(x)s" {\n  %(n)s = "§"\n}',
        '# %(n)s = "§"',
    ),
    free=("# %(w)s: §", '  %(w)s = ["§"]', '  user_data = "%(w)s --join §"'),
    keys=(("%(n)s = <<EOF\n§\nEOF", "\n"), ('%(n)s = "§\\n"', "\\n")),
    blocks=(
        'resource "$a_$b" "$c" {\n  name  = "$d"\n  count = $0\n\n  tags = {\n    tier = "$e"\n'
        "  }\n}\n\n",
        'module "$a" {\n  source = "./modules/$b"\n  size   = $0\n  $c = var.$d\n}\n\n',
        'output "$a" {\n  value = $b_$c.$d.id\n}\n\n',
    ),
)
_NOTEBOOK = Language(2, "%s.ipynb", _PYTHON.named, _PYTHON.free, _PYTHON.keys[:1])

LANGUAGES: dict[str, Language] = {
    "python": _PYTHON,
    "javascript": _JS,
    "typescript": _TS,
    "go": _GO,
    "java": _JAVA,
    "c": _C,
    "yaml": _YAML,
    "json": _JSON,
    "toml": _TOML,
    "ini": _INI,
    "env": _ENV,
    "properties": _PROPERTIES,
    "dockerfile": _DOCKERFILE,
    "shell": _SH,
    "terraform": _TERRAFORM,
    "notebook": _NOTEBOOK,
}

PAIRS: dict[str, tuple[str, ...]] = {
    "python": (
        'boto3.client("s3", aws_access_key_id="§", aws_secret_access_key="§")',
        'AWS_ACCESS_KEY_ID = "§"\nAWS_SECRET_ACCESS_KEY = "§"',
    ),
    "javascript": ("AWS.config.update({\n  accessKeyId: '§',\n  secretAccessKey: '§',\n});",),
    "typescript": ("new S3Client({ credentials: { accessKeyId: '§', secretAccessKey: '§' } });",),
    "go": ('creds := credentials.NewStaticCredentials("§", "§", "")',),
    "java": ('AWSCredentials %(c)s = new BasicAWSCredentials("§", "§");',),
    "c": ('aws_init(&ctx, "§", "§");',),
    "yaml": ("aws_access_key_id: §\naws_secret_access_key: §",),
    "json": ('  "accessKeyId": "§",\n  "secretAccessKey": "§",',),
    "toml": ('aws_access_key_id = "§"\naws_secret_access_key = "§"',),
    "ini": ("aws_access_key_id = §\naws_secret_access_key = §",),
    "env": ("AWS_ACCESS_KEY_ID=§\nAWS_SECRET_ACCESS_KEY=§",),
    "properties": ("cloud.aws.credentials.accessKey=§\ncloud.aws.credentials.secretKey=§",),
    "dockerfile": ("ENV AWS_ACCESS_KEY_ID=§\nENV AWS_SECRET_ACCESS_KEY=§",),
    "shell": (
        "aws configure set aws_access_key_id §\naws configure set aws_secret_access_key §",
        'export AWS_ACCESS_KEY_ID="§"\nexport AWS_SECRET_ACCESS_KEY="§"',
    ),
    "terraform": ('provider "aws" {\n  access_key = "§"\n  secret_key = "§"\n}',),
    "notebook": ("%%env AWS_ACCESS_KEY_ID=§\n%%env AWS_SECRET_ACCESS_KEY=§",),
}
"""Contexts of an AWS access key id with its secret access key."""

COMMANDS: dict[str, tuple[tuple[str, str], ...]] = {
    "shell": (
        ("curl -u %(w)s:§ https://%(h)s/%(x)s", "basic-auth"),
        ("mysql -h %(h)s -u root -p§ %(w)s", "database-password"),
        ("PGPASSWORD=§ psql -h %(h)s -U %(w)s %(x)s", "database-password"),
        ("sshpass -p '§' scp %(w)s.tar %(x)s:/srv", "password"),
        ("docker login -u %(w)s -p § %(h)s", "password"),
    ),
    "python": (
        ("cursor.execute(\"CREATE USER %(w)s IDENTIFIED BY '§'\")", "database-password"),
        ("cursor.execute(\"ALTER ROLE %(w)s WITH PASSWORD '§'\")", "database-password"),
        ('requests.get(%(x)s, auth=("%(w)s", "§"))', "password"),
        ('smtp.login("%(w)s", "§")', "password"),
        (
            'DATABASES = {\n    "ENGINE": "django.db.backends.postgresql",\n'
            '    "PASSWORD": "§",\n}',
            "database-password",
        ),
    ),
    "java": (
        ('DriverManager.getConnection(%(w)s, "%(x)s", "§");', "database-password"),
        ("<password>§</password>", "password"),
    ),
    "dockerfile": (("RUN curl -u %(w)s:§ -O https://%(h)s/%(x)s.tgz", "basic-auth"),),
    "yaml": (("run: docker login -u %(w)s -p § %(h)s", "password"),),
}
"""Contexts in which a command or call identifies a password, without a name; with its kind."""
