"""The words of the opt-out page, a set per language. They name no company and no document: whoever holds the address may be anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class OptOutWords:
    """What the page says in one language."""

    heading: str
    text: str
    button: str
    done_heading: str
    done_text: str


OPT_OUT_WORDS: Mapping[str, OptOutWords] = MappingProxyType(
    {
        "en": OptOutWords(
            heading="No more notices before the due date?",
            text="You will no longer be written to before a document is due. Reminders of what is overdue are not advertising and will still reach you.",
            button="Stop these notices",
            done_heading="Done: no more notices before the due date",
            done_text="Reminders of what is overdue will still reach you. To have the notices back, ask the company that wrote to you.",
        ),
        "es": OptOutWords(
            heading="¿No quiere más avisos antes del vencimiento?",
            text="Ya no le escribiremos antes de que venza un documento. Los recordatorios de lo vencido no son publicidad y le seguirán llegando.",
            button="No recibir más estos avisos",
            done_heading="Hecho: no recibirá más avisos antes del vencimiento",
            done_text="Los recordatorios de lo vencido le seguirán llegando. Para volver a recibir los avisos, pídalo a la empresa que le escribió.",
        ),
        "fr": OptOutWords(
            heading="Ne plus recevoir d’avis avant l’échéance ?",
            text="Nous ne vous écrirons plus avant l’échéance d’un document. Les rappels d’échéances dépassées ne sont pas de la publicité et continueront.",
            button="Ne plus recevoir ces avis",
            done_heading="C’est fait : plus d’avis avant l’échéance",
            done_text="Les rappels d’échéances dépassées continueront. Pour recevoir à nouveau les avis, demandez-le à l’entreprise qui vous a écrit.",
        ),
        "it": OptOutWords(
            heading="Non volete più avvisi prima della scadenza?",
            text="Non vi scriveremo più prima della scadenza di un documento. I solleciti di quanto è scaduto non sono pubblicità e continueranno ad arrivare.",
            button="Non ricevere più questi avvisi",
            done_heading="Fatto: nessun altro avviso prima della scadenza",
            done_text="I solleciti di quanto è scaduto continueranno ad arrivare. Per riavere gli avvisi, chiedetelo all’azienda che vi ha scritto.",
        ),
    }
)
