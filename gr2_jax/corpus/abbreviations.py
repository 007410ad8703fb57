"""Abbreviations and initials, whose full stop ends no sentence, per language."""

import re
from functools import cache

from gr2_jax.corpus.scripts import marks

_ABBREVIATIONS = {
    "en": "e.g i.e etc cf vs viz al resp approx fig figs eq eqs sec ch ref refs no nos vol p pp ed eds dr mr mrs ms "
    "prof st jr inc dept univ",
    # In German an ordinal has a full stop, and the noun after it a capital: "am 3. Mai", "im 19. Jahrhundert".
    "de": r"\d{1,2} abb abk abs anm aufl bd bzw ca dr evtl geb gest ggf hl hrsg ing insb jh jhd jr kath lat mio "
    "mrd nr o.ä prof resp sog sr st str tsd u.a usw v.a vgl z.b zt zzgl",
    "fr": "av apr cf chap dr env etc ex fig hab me mgr mlle mm mme no op p.ex pp prof sq st ste tél",
    "es": "a.c aprox art av cap cf d.c dr dra ed ee.uu etc fig gral hab ing lic n.º núm p.ej pág págs pp prof sr sra "
    "srta sta sto trad ud uds vol",
    "it": "a.c art avv ca cap cfr d.c dott ecc es fig ing no pag pagg pp prof sec seg sig sig.ra ss vol",
    "pt": "a.c av cap cf d.c dr dra ed etc eng fig hab p.ex pág págs pp prof profa séc sr sra sto trad vol",
    "nl": "art bijv blz bv ca dhr dr drs enz evt fig geb ing ir jr jl m.a.w mevr mr nr o.a o.l.v prof resp sr st t.o.v "
    "vgl z.g zgn",
    "sv": "bl.a ca d.v.s dr dvs e.kr enl etc f.d f.kr fig ing jfr kap kl m.fl m.m nr o.s.v osv p.g.a prof "
    "resp s.k st t.ex t.o.m tr",
    "pl": "al ang bp c.d dr fr gen godz hab im inż itd itp jr ks lat łac m.in mgr mjr np nr ob ok os p.n.e pl płk "
    "płd płn por prof przyp r red rys s sp św t tel tj tys tzn tzw ul ur w wg woj ww wyd zm zob",
    "ru": "абс англ араб букв вв вкл гг гл греч деп др жен зам ил им инж исп итал кн корп лат млн млрд муж напр наст "  # noqa: RUF001
    "нем обл оз ок пер пл пос пр пр-т прим проф ред рис род св сев сек см соч ср ст стр тел тж тыс ул ум франц фр "  # noqa: RUF001
    "чел юж яп",
}


@cache
def abbreviation_of(language: str) -> re.Pattern[str]:
    """Matches an abbreviation or an initial with its full stop at the end of the searched text.

    A language without a list has the English one.
    """
    known = _ABBREVIATIONS.get(language, _ABBREVIATIONS["en"])
    words = "|".join(word if word.startswith("\\") else re.escape(word) for word in known.split())
    # In English not the letters with accents and those of phonetics: "a double-storey a and single-storey \u0251."
    not_initials = "\u00aa-\u02af" if known is _ABBREVIATIONS["en"] else ""
    initial = rf"(?-i:[^\W\d_{not_initials}])[{marks()}]?"
    return re.compile(rf"(?:^|[\s(\[\"'\u00ab\u201e])(?:{words}|{initial})\.$", re.IGNORECASE)
