"""The table of Debian packages that `nacre audio fetch` knows: recorded speech, music and sounds to train on.

Source: Debian's `main` archive; each licence is the package's own `copyright` file, which is copied beside the audio.
The bandwidth of every package was checked from spectra; voices and games here are kept out of every evaluation set,
so don't add a package (or a language of one) that an evaluation set uses.

Names in `take` and `skip` are shell patterns on the name inside `root`; `*` also matches `/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["speech", "music", "sound"]
KINDS: tuple[Kind, ...] = ("speech", "music", "sound")
ARCHIVE_SUFFIX = ".pk3"  # Quake's archives: zip files under another name


@dataclass(frozen=True, kw_only=True)
class SourcePackage:
    """One Debian package and what to take from it.

    Attributes:
        name: Debian's name of the package.
        kind: What is heard.
        licence: The licences of what is taken, in short; `copyright` has the words.
        download_mb: Approximate size of the download, MB (1e6 bytes).
        root: The folder inside the package that names are relative to.
        languages: ISO 639-1 codes, for speech.
        take: Take a name that matches one of these,
        skip: unless it matches one of these.
        voice: Set for short prompts, which are joined into longer files: a regular expression found in the name, whose
            groups name the voice; prompts are joined only with others of that voice. Names without a match stay alone.
        extended: On the second list, fetched only when asked for.
    """

    name: str
    kind: Kind
    licence: str
    download_mb: int
    root: str
    languages: tuple[str, ...] = ()
    take: tuple[str, ...] = ("*.ogg", "*.wav", "*.g722")
    skip: tuple[str, ...] = ()
    voice: str | None = None
    extended: bool = False

    def wants(self, name: str) -> bool:
        """Tell whether the file `name`, relative to `root`, is taken."""
        return any(fnmatchcase(name, each) for each in self.take) and not any(
            fnmatchcase(name, each) for each in self.skip
        )

    def voice_of(self, name: str) -> str | None:
        """Return the voice that the prompt `name` is joined under, or None when it stays alone."""
        match = re.search(self.voice, name) if self.voice is not None else None
        if match is None:
            return None
        return "-".join(match.groups()) or "voice"


def _asterisk(language: str, download_mb: int, folder: str, licence: str) -> SourcePackage:
    return SourcePackage(
        name=f"asterisk-core-sounds-{language}-g722",
        kind="speech",
        licence=licence,
        download_mb=download_mb,
        root=f"usr/share/asterisk/sounds/{folder}",
        languages=(language,),
        skip=("silence/*", "*beep*", "*2tone*", "tt-monkeys*"),
        voice="",
    )


def _music(name: str, download_mb: int, licence: str, root: str, *take: str, extended: bool = False) -> SourcePackage:
    return SourcePackage(
        name=name,
        kind="music",
        licence=licence,
        download_mb=download_mb,
        root=root,
        take=take or ("*.ogg",),
        extended=extended,
    )


SPEECH = (
    _asterisk("en", 11, "en_US_f_Allison", "CC-BY-SA-3.0"),
    _asterisk("es", 13, "es_MX_f_Allison", "CC-BY-SA-3.0"),
    _asterisk("ru", 11, "ru_RU_f_IvrvoiceRU", "CC-BY-3.0"),
    SourcePackage(
        name="festvox-ru",
        kind="speech",
        licence="BSD-like",
        download_mb=179,
        root="usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav",
        languages=("ru",),
    ),
    SourcePackage(
        name="fillets-ng-data-cs",
        kind="speech",
        licence="GPL-2",
        download_mb=39,
        root="usr/share/games/fillets-ng/sound",
        languages=("cs",),
        take=("*/cs/*.ogg",),
        voice=r"(?:^|[-/])(m|v)[-.]",  # the small fish (malá) and the big one (velká); the others are bit parts
    ),
    SourcePackage(
        name="tuxpaint-stamps-default",
        kind="speech",
        licence="GPL-2",
        download_mb=161,
        root="usr/share/tuxpaint/stamps",
        languages=("fr", "ru", "ca", "bg"),
        take=("*_fr.ogg", "*_ru.ogg", "*_ca.ogg", "*_bg.ogg"),
        voice=r"_(fr|ru|ca|bg)\.ogg$",
    ),
    SourcePackage(
        name="klettres-data",
        kind="speech",
        licence="GPL-2+",
        download_mb=40,
        root="usr/share/klettres",
        languages=("he", "fr", "ru", "uk", "es", "cs"),
        take=("he/*.ogg", "fr/*.ogg", "ru/*.ogg", "uk/*.ogg", "es/*.ogg", "cs/*.ogg"),
        voice=r"^(he|fr|ru|uk|es|cs)/",
    ),
    SourcePackage(
        name="ktuberling-data",
        kind="speech",
        licence="GPL-2+",
        download_mb=47,
        root="usr/share/ktuberling/sounds",
        languages=("ru", "uk", "fr", "ca"),
        take=("ru/*.ogg", "uk/*.ogg", "fr/*.wav", "ca/*.ogg"),
        voice=r"^(ru|uk|fr|ca)/",
    ),
    SourcePackage(
        name="gcin-voice",
        kind="speech",
        licence="CC-BY-3.0 (5.ogg); GPL-3 or LGPL-3 (3.ogg)",
        download_mb=8,
        root="usr/share/gcin-voice/ogg",
        languages=("zh",),
        voice=r"/([35])\.ogg$",
    ),
)

_WESNOTH = "usr/share/games/wesnoth/1.16/data/core"
MUSIC = (
    _music("wesnoth-1.16-music", 153, "GPL-2+", f"{_WESNOTH}/music"),
    _music(
        "ufoai-music", 210, "CC-BY-3.0, CC-BY-SA-3.0, GPL-2, GPL-2+, PD", "usr/share/games/ufoai/base", "music/*.ogg"
    ),
    _music("nexuiz-music", 84, "GPL-2+", "usr/share/games/nexuiz/data", "sound/*.ogg"),
    _music("singularity-music", 52, "CC-BY-SA-3.0", "usr/share/games/singularity/music"),
    _music("colobot-common-sounds", 61, "GPL-3+", "usr/share/games/colobot/music"),
    _music("marsshooter-data", 68, "CC-BY-SA-3.0", "usr/share/games/marsshooter/audio", "*.ogg"),
    _music("drascula-music", 36, "Drascula licence (free, not to be sold alone)", "usr/share/scummvm/drascula/audio"),
    _music("supertux-data", 162, "CC-BY-SA, GPL, others", "usr/share/games/supertux2/music", extended=True),
    _music("naev-data", 350, "CC-BY, CC-BY-SA, GPL-3, PD", "usr/share/naev/dat/snd/music", extended=True),
    _music("flare-game", 123, "CC-BY-SA-3.0+", "usr/share/games/flare/mods/fantasycore/music", extended=True),
    _music("freedroidrpg-data", 228, "GPL-2+, others", "usr/share/freedroidrpg/data/sound/music", extended=True),
    _music("megaglest-data", 242, "CC-BY-SA-3.0", "usr/share/games/megaglest", "*/music/*.ogg", extended=True),
    _music("widelands-data", 381, "GPL-2+, CC-BY-SA-3.0", "usr/share/games/widelands/data/music", extended=True),
    _music("frozen-bubble-data", 22, "GPL-2", "usr/share/games/frozen-bubble/snd", "*zik*.ogg", extended=True),
    _music("enigma-data", 30, "GPL-2", "usr/share/games/enigma/music", extended=True),
)

SOUNDS = (
    SourcePackage(
        name="ufoai-sound",
        kind="sound",
        licence="CC-BY-3.0, CC-BY-SA-3.0, GPL-2, GPL-2+, PD",
        download_mb=19,
        root="usr/share/games/ufoai/base",
        take=("sound/*.ogg", "sound/*.wav"),
    ),
    SourcePackage(
        name="bucklespring-data",
        kind="sound",
        licence="GPL-2+",
        download_mb=3,
        root="usr/share/buckle/wav",
        voice="",
    ),
    SourcePackage(
        name="wesnoth-1.16-data",
        kind="sound",
        licence="GPL-2+",
        download_mb=146,
        root=f"{_WESNOTH}/sounds",
        extended=True,
    ),
)

POOL: tuple[SourcePackage, ...] = SPEECH + MUSIC + SOUNDS


def select(
    *, kinds: tuple[str, ...] = (), names: tuple[str, ...] = (), extended: bool = False
) -> tuple[SourcePackage, ...]:
    """Return the packages of the pool that are asked for, in the table's order.

    Args:
        kinds: Keep only these kinds; none means all.
        names: Keep only these packages, of either list; none means the whole list.
        extended: Add the second list.
    """
    return tuple(
        package
        for package in POOL
        if (not kinds or package.kind in kinds)
        and (package.name in names if names else extended or not package.extended)
    )
