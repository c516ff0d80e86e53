"""Pure. Answers that refuse or insult, and prompts that try to command the model: by lists of phrases."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.i18n import N_
from core.quality.texts.findings import HINT, NOTABLE, Finding, Result
from core.texts.records import ASSISTANT, Record, field_name

BY_PATTERNS = N_(
    "Refusals, insults and injections are found by lists of phrases in English, Japanese and Korean; "
    "other wording is not seen."
)


class _Phrases:
    """One pattern of alternatives. Texts of ASCII alone are searched for those that they can hold: thrice as fast."""

    def __init__(self, *alternatives: str) -> None:
        plain = [each for each in alternatives if each.isascii()]
        self._all = re.compile("|".join(alternatives), re.IGNORECASE)
        self._plain = re.compile("|".join(plain), re.IGNORECASE | re.ASCII)

    def search(self, text: str) -> re.Match[str] | None:
        return (self._plain if text.isascii() else self._all).search(text)


_REFUSAL = _Phrases(
    r"\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant)?\b",
    r"\bi(?:'m| am)(?: very| so| really)? sorry,? but (?:i|as)\b",
    r"\bi(?:'m| am) (?:unable|not able) to (?:help|assist|provide|answer|comply|fulfil|create|generate)",
    r"\bi (?:can(?:'t|not| not)|won't) (?:help|assist|comply|provide|answer|fulfil|create|generate|discuss)(?! but\b)",
    r"\bi must decline\b|\bagainst my (?:programming|guidelines)\b|\bi don't have (?:personal )?(?:opinions|feelings)\b",
    r"(?:申し訳|もうしわけ)(?:ありません|ございません|ない)[がけ、].{0,40}(?:できません|できかねます|お答え|お手伝い|お応え)",
    r"お(?:答え|手伝い|応え)(?:することは|は)?(?:できません|できかねます|いたしかねます)",
    r"(?:AI|人工知能)(?:言語)?(?:モデル|アシスタント)?(?:として|なので|ですので|であるため)",
    r"죄송(?:합니다|하지만|스럽지만).{0,40}(?:없습니다|어렵습니다|못합니다|도와드릴|답변)",
    r"(?:도와드릴|답변(?:해 ?드릴|드릴|할)|제공(?:해 ?드릴|할)) 수 ?(?:가 )?없",
    r"(?:AI|인공지능)(?: ?언어)? ?(?:모델|어시스턴트|챗봇)?(?:로서|으로서|이기 때문|이므로|이라서)",
)
_TOXIC = _Phrases(
    r"\b(?:fuck(?:ing|er|ed|s)?|shit(?:ty|head)?|bitch(?:es)?|asshole|bastard|cunt|motherfuck\w*|retard(?:ed)?|whore|slut)\b",
    r"\bkill yourself\b|\bi hate you\b|\byou(?:'re| are) (?:an? )?(?:idiot|moron|worthless|stupid)\b",
    r"(?<!必)死ね|殺すぞ|ぶっ殺|クソ(?:野郎|ったれ)|くそ野郎|きちがい|キチガイ|馬鹿野郎|ばかやろう|消えろ",
    r"씨발|시발(?:놈|년)|ㅅㅂ|병신|개새끼|좆|미친 ?(?:놈|년)|죽어라|꺼져|닥쳐|지랄",
)
_INJECTION = _Phrases(
    r"\b(?:ignore|disregard|forget|override)\b.{0,20}\b(?:previous|prior|above|earlier|preceding|all|your|system)\b"
    r".{0,20}\b(?:instruction|prompt|rule|direction|guideline|message|context)s?",
    r"\b(?:reveal|print|show|repeat|output|leak)\b.{0,20}\b(?:system|hidden|initial) (?:prompt|instruction|message)s?",
    r"\byou are now (?:dan|in developer mode|unrestricted|jailbroken)\b|\bdo anything now\b|\bdeveloper mode enabled\b",
    r"<\|(?:im_start|im_end|system|endoftext|eot_id|start_header_id)\|>|\[/?INST\]|<</?SYS>>",
    r"(?:これまで|以前|前|上記|今まで|すべて)の.{0,6}(?:指示|命令|ルール|プロンプト).{0,6}(?:無視|忘れ|従わ)",
    r"システムプロンプト.{0,10}(?:表示|教え|出力|公開)",
    r"(?:이전|앞|위|지금까지|모든|기존)(?:의|에)?.{0,8}(?:지시|명령|규칙|프롬프트|지침).{0,6}(?:무시|잊)",
    r"시스템 ?프롬프트.{0,10}(?:보여|알려|출력|공개)",
)


def check(records: Sequence[Record]) -> Result:
    """Refusals in answers; insults and injections anywhere."""
    findings: list[Finding] = []
    for number, record in enumerate(records):
        texts = dict(record.texts())
        for place, turn in enumerate(record.turns):
            name = field_name(record, place)
            if turn.role == ASSISTANT and _REFUSAL.search(turn.content):
                said = N_("“{field}” sounds like a refusal; a model that learns from it refuses more often.")
                findings.append(Finding(number, name, "refusal", NOTABLE, said, {"field": name}))
        for name, text in texts.items():
            if _TOXIC.search(text):
                said = N_("“{field}” holds an insult or a threat.")
                findings.append(Finding(number, name, "toxic", NOTABLE, said, {"field": name}))
            if _INJECTION.search(text):
                said = N_("“{field}” holds a phrase that tries to command a model.")
                findings.append(Finding(number, name, "injection", HINT, said, {"field": name}))
    return Result(findings, len(records), (BY_PATTERNS,))
