"""The wiki of a dump, and the meaning of its link targets."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from gr2_jax.corpus.wikipedia.entities import decode_entities

INTERWIKI = -3  # the namespace that `normalise` gives a title of another wiki; MediaWiki's own are -2 and above
ARTICLE, FILE, CATEGORY = 0, 6, 14

# Names that are valid on every wiki, and the aliases that a dump's header does not list.
CANONICAL = {
    **{"media": -2, "special": -1, "talk": 1, "user": 2, "user talk": 3, "project": 4, "project talk": 5},
    **{"file": 6, "file talk": 7, "mediawiki": 8, "mediawiki talk": 9, "template": 10, "template talk": 11},
    **{"help": 12, "help talk": 13, "category": 14, "category talk": 15, "module": 828, "module talk": 829},
    **{"image": 6, "image talk": 7, "wp": 4, "wt": 5},
    **{"bild": 6, "imagen": 6, "immagine": 6, "afbeelding": 6, "imagem": 6, "изображение": 6},
}

# The prefixes, before a colon, of links to other wikis: other projects, and the languages that have a Wikipedia.
_PROJECTS = """
b c commons d doi foundation incubator m mediawikiwiki meta metawikipedia mw n q rfc s species v voy w wikibooks
wikidata wikimedia wikinews wikipedia wikiquote wikisource wikispecies wikiversity wikivoyage wikt wiktionary wmf
bugzilla phab phabricator toollabs toolforge mailarchive outreach strategy oldwikisource betawikiversity imdbname
imdbtitle google wikia arxiv pmid oeis
"""
_LANGUAGES = """
aa ab ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban bar bat-smg bbc
bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam cdo ce ceb ch cho chr chy
ckb co cr crh cs csb cu cv cy da dag de dga din diq dsb dtp dty dv dz ee el eml en eo es et eu ext fa fat ff fi fiu-vro
fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi hif ho hr
hsb ht hu hy hyw hz ia iba id ie ig igl ii ik ilo inh io is it iu ja jam jbo jv ka kaa kab kbd kbp kcg kg kge ki kj kk
kl km kn knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv lzh mad
mai map-bms mdf mg mh mhr mi min mk ml mn mni mnw mo mos mr mrj ms mt mus mwl my myv mzn na nah nan nap nb nds nds-nl ne
new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc olo om or os pa pag pam pap pcd pcm pdc pfl pi pih pl pms pnb pnt ps
pt pwn qu rm rmy rn ro roa-rup roa-tara rsk ru rue rup rw sa sah sat sc scn sco sd se sg sgs sh shi shn si simple sk skr
sl sm smn sn so sq sr srn ss st stq su sv sw szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tpi tr trv ts tt
tum tw ty tyv udm ug uk ur uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-classical
zh-min-nan zh-yue zu
"""
LANGUAGES = frozenset(_LANGUAGES.split())
_INTERWIKI = LANGUAGES | frozenset(_PROJECTS.split())

# A target without any of these is already a title, except for blanks at its ends and its first letter.
_SPECIAL = re.compile(r"[_&%:#\u200e\u200f]|[^\S ]|  ")
_URL_SAFE = "/:,;@!$*()~"  # MediaWiki does not escape these
_BLANKS = re.compile(r"[\s_\u200e\u200f]+")


@dataclass(frozen=True)
class Site:
    """The `<siteinfo>` of a dump: the wiki's name, language and namespaces."""

    dbname: str  # such as enwiki; "" where the dump leaves it out
    language: str  # such as en: the xml:lang of the dump
    base: str  # the URL of the main page
    namespaces: dict[str, int]  # lower-cased local and canonical English names -> key
    first_letter: bool  # whether titles begin with a capital even if the link does not

    def normalise(self, target: str) -> tuple[int, str]:
        """Returns the namespace and the title (without the namespace's prefix) of a link's target.

        The title is spelt as in `Page.title`; "" for a link into the same page. A title of another wiki, or of the same
        wiki in another language, has the namespace INTERWIKI.
        """
        title = target.strip()
        if not _SPECIAL.search(title):
            return ARTICLE, title if title[:1].isupper() else self._capitalised(title)
        title = _plain(title).removeprefix(":").lstrip()
        prefix, colon, rest = title.partition(":")
        if colon:
            name, rest = prefix.rstrip().lower(), rest.lstrip()
            namespace = self.namespaces.get(name, INTERWIKI if name in _INTERWIKI else None)
            if namespace is not None:
                return namespace, self._capitalised(rest)
        return ARTICLE, self._capitalised(title)

    def url(self, title: str) -> str:
        """Returns the address of an article."""
        return f"{self.base.rpartition('/')[0]}/{quote(title.replace(' ', '_'), safe=_URL_SAFE)}"

    def _capitalised(self, title: str) -> str:
        if not self.first_letter or not title:
            return title
        capital = title[0].upper()
        # MediaWiki keeps ß, which has no single capital, and Georgian letters, whose capitals are for whole words.
        return title if len(capital) > 1 or "\u10d0" <= title[0] <= "\u10ff" else capital + title[1:]


def _plain(target: str) -> str:
    """Resolves entities and percent escapes, removes the fragment, and collapses blanks."""
    target = decode_entities(target)
    if "%" in target:
        target = unquote(target)
    return _BLANKS.sub(" ", target.partition("#")[0]).strip()
