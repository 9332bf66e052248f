"""The words of the page on which a colleague takes charge of a question and replies, a language each."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class RequestWords:
    """The words of one language. `{customer}`, `{name}` and `{day}` are filled in."""

    heading: str
    asked: str
    items: str
    document: str
    due_on: str
    open: str
    status: str
    no_status: str
    comments: str
    no_comments: str
    charge: str
    taken: str
    taken_by_you: str
    not_taken: str
    take: str
    take_over: str
    taken_now: str
    reply: str
    reply_hint: str
    send: str
    replied: str
    reply_missing: str
    internal: str


REQUEST_WORDS = MappingProxyType(
    {
        "en": RequestWords(
            heading="Question about {customer}",
            asked="What is asked",
            items="Documents",
            document="Document",
            due_on="Due on",
            open="Open",
            status="Status",
            no_status="Ongoing",
            comments="Comments",
            no_comments="No comment yet.",
            charge="Who takes charge",
            taken="{name} has taken charge.",
            taken_by_you="You have taken charge.",
            not_taken="Nobody has taken charge yet.",
            take="I take charge",
            take_over="I take over",
            taken_now="You have taken charge. Your colleagues see it.",
            reply="Your reply",
            reply_hint="It is stored as a comment on these documents, with your name and the time.",
            send="Store the reply",
            replied="Your reply is stored.",
            reply_missing="Write your reply first.",
            internal="This page is for colleagues only. Do not pass its address on.",
        ),
        "it": RequestWords(
            heading="Domanda su {customer}",
            asked="Che cosa si chiede",
            items="Documenti",
            document="Documento",
            due_on="Scadenza",
            open="Residuo",
            status="Stato",
            no_status="In corso",
            comments="Commenti",
            no_comments="Ancora nessun commento.",
            charge="Chi se ne occupa",
            taken="{name} ha preso in carico la richiesta.",
            taken_by_you="Avete preso in carico la richiesta.",
            not_taken="Nessuno ha ancora preso in carico la richiesta.",
            take="Prendo in carico",
            take_over="Subentro io",
            taken_now="Avete preso in carico la richiesta. I colleghi lo vedono.",
            reply="La vostra risposta",
            reply_hint="Viene conservata come commento a questi documenti, con il vostro nome e l’ora.",
            send="Salva la risposta",
            replied="La vostra risposta è stata salvata.",
            reply_missing="Scrivete prima la risposta.",
            internal="Questa pagina è riservata ai colleghi. Non inoltratene l’indirizzo.",
        ),
        "es": RequestWords(
            heading="Pregunta sobre {customer}",
            asked="Qué se pregunta",
            items="Documentos",
            document="Documento",
            due_on="Vencimiento",
            open="Pendiente",
            status="Estado",
            no_status="En curso",
            comments="Comentarios",
            no_comments="Aún no hay comentarios.",
            charge="Quién se encarga",
            taken="{name} se ha hecho cargo.",
            taken_by_you="Usted se ha hecho cargo.",
            not_taken="Nadie se ha hecho cargo todavía.",
            take="Me hago cargo",
            take_over="Me encargo yo",
            taken_now="Se ha hecho cargo. Sus compañeros lo ven.",
            reply="Su respuesta",
            reply_hint="Se guarda como comentario de estos documentos, con su nombre y la hora.",
            send="Guardar la respuesta",
            replied="Su respuesta se ha guardado.",
            reply_missing="Escriba primero su respuesta.",
            internal="Esta página es solo para compañeros. No reenvíe su dirección.",
        ),
        "fr": RequestWords(
            heading="Question sur {customer}",
            asked="Ce qui est demandé",
            items="Documents",
            document="Document",
            due_on="Échéance",
            open="Reste dû",
            status="Statut",
            no_status="En cours",
            comments="Commentaires",
            no_comments="Pas encore de commentaire.",
            charge="Qui s’en charge",
            taken="{name} a pris la demande en charge.",
            taken_by_you="Vous avez pris la demande en charge.",
            not_taken="Personne n’a encore pris la demande en charge.",
            take="Je prends en charge",
            take_over="Je prends le relais",
            taken_now="Vous avez pris la demande en charge. Vos collègues le voient.",
            reply="Votre réponse",
            reply_hint="Elle est conservée comme commentaire de ces documents, avec votre nom et l’heure.",
            send="Enregistrer la réponse",
            replied="Votre réponse est enregistrée.",
            reply_missing="Écrivez d’abord votre réponse.",
            internal="Cette page est réservée aux collègues. Ne transmettez pas son adresse.",
        ),
    }
)


def request_words(language: str) -> RequestWords:
    """Return the words of a language, English where there are none."""
    return REQUEST_WORDS.get(language, REQUEST_WORDS["en"])
