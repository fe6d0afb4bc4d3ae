"""Whether a string looks random, or is made of words.

Most strings of high entropy in code are names, paths and sentences run together. Pairs of letters
tell them apart: a table holds the log-likelihood ratio of each pair in identifiers against random
strings (`benchmarks/gibberish.py` counts it, and measures the errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

SIGNS = "abcdefghijklmnopqrstuvwxyz|"
"""Letters whatever their case, and a bar for what stands between words."""

SCALE = 8
_ZERO = 80
LIMIT = 0.0
"""Mean log-likelihood ratio from which on a string is made of words."""

_BETWEEN = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z]")


def is_random(text: str) -> bool:
    """Whether the pairs of a string are more likely in random text than in words."""
    ratios = [_RATIOS[pair] for pair in pairs(text)]
    return sum(ratios) < LIMIT * SCALE * len(ratios)


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Neighbours in a string: letters, and a bar before each word and for each other sign."""
    plain = _BETWEEN.sub("|", text).lower()
    signs = f"|{plain}|"
    return pairwise(signs)


def to_sign(ratio: int) -> str:
    """A ratio in the table."""
    return chr(min(126, max(35, ratio + _ZERO)))


_TABLE = r"""
MSXY>HR8S6M]XY0Q1][_NNFGI9@
^LUJXG@>XU=]HFWM8SRG\6>9VCI
[CKJ\G<ZP.ZWH>aE:SK\P@:1G5F
UGFRbJ>6\::Q>?V?7NPHT>96F0P
TCUVJNH8@09QOYBNE]bW=HFTE2L
YIOPV\F:a64W>D\@4YOPW4A5I3I
QCGDcBLQV-3RGVM<.VXIRE=9<CO
a?ADa=;BY6?KHD];6TFRN7:-A4M
NNWTPMT7A7=YTcZR7QZ]2N-M,O7
UCAFdBGEPCSF=HZR6BUD`BBDFDK
T@BHcBLCW7>T<NEE?IVGI9R3D6Q
[GESbE<4_0=Y??\I.<QURA9+Q:H
`Q@Hc>:5X4>MRB[]0?QKR543L3G
Y>XZZO\?U6JJBKXH6AW]ON6-A0J
MOWZBKK7H6LTXaQW(_STWLQD6<B
_=GE^B>HT,@Z>@YR:\OZOA@+Z)G
OHJBC:K@A->OAMCNHPPHkAE<=:H
[@NNbHP4Y$GION[E#TWVOH@/N#K
M9N<\;BPW)FIB>OQ:=WfS9=2L/L
U:HEdD3VY%7CF9SE&VQMM8?3O4O
OURJXOO4S-5\W`LX([X\<60<-7C
cDH>hC=:Z:66C?LA3DC>?5@8D=E
^=IJW@<Sc::MFVZ@;\WD;?AH#3I
RM[NXP3DU>7FN>CY9@A^<;:VN=P
CGMBJA<8K'7KNVH\4CVY?AMBRFS
U@BEf?FI\55JO=NFA8IC@:JMLbF
RPURRRMKQ=CNPOMS>PVZNFLM:?R
"""
_RATIOS = {
    (one, other): ord(sign) - _ZERO
    for one, row in zip(SIGNS, _TABLE.split(), strict=False)
    for other, sign in zip(SIGNS, row, strict=True)
}
