"""The words of the customer's page, a set per language; a language is complete or it is not there, which the dataclass enforces.

Document kinds, column headings and day counts are those of the messages (`dunning.messages.words`), so that mail and page say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class PageWords:
    """What the page says in one language. `{…}` is filled in by the page."""

    language_name: str
    languages: str
    skip: str
    error: str
    problem_heading: str
    questions: str
    landing_heading: str
    landing_text: str
    tax_label: str
    tax_hint: str
    document_label: str
    document_hint: str
    button_text: str
    show: str
    recorded: str
    wrong: str
    tries_left: tuple[str, str]
    stale: str
    locked_heading: str
    locked_text: tuple[str, str]
    gone_heading: str
    gone_text: str
    busy_heading: str
    busy_text: str
    claim_heading: str
    claim_title: str
    to: str
    issued: str
    reminder: str
    pay_by: str
    told_heading: str
    told_text: str
    today_heading: str
    today_text: str
    settled_heading: str
    settled_text: str
    open_of_claim: str
    open_in_all: str
    open_today: str
    standings: Mapping[str, str]
    beside_claim: str
    open_document: str
    pay_heading: str
    pay_text: str
    acknowledge_heading: str
    acknowledge_text: str
    statement: str
    name_label: str
    role_label: str
    role_hint: str
    acknowledge: str
    name_missing: str
    role_missing: str
    thanks_heading: str
    thanks_text: str
    thanks_close: str
    answer_again: str
    internal_heading: str
    internal_landing: str
    internal_show: str
    internal_text: str
    internal_crm: str
    internal_no_crm: str


def _standings(*words: str) -> Mapping[str, str]:
    return MappingProxyType(dict(zip(("settled", "withdrawn", "part_paid", "overdue", "not_due", "credit"), words, strict=True)))


_EN = PageWords(
    language_name="English",
    languages="Language",
    skip="Skip to the content",
    error="Error",
    problem_heading="There is a problem",
    questions="Questions? Write to",
    landing_heading="{sender} has sent you a personal link",
    landing_text="So that only your company sees what it contains, please answer one question.",
    tax_label="Last 4 characters of your company’s tax number",
    tax_hint="The VAT or tax identification number of the company this was sent to. You may also type the whole number.",
    document_label="The number of one of your documents from {sender}",
    document_hint="For example the number of an open invoice. Spaces and dashes do not matter.",
    button_text="Press the button to open the page.",
    show="Show the page",
    recorded="We record that this page is opened and answered, as evidence of delivery. It sets no cookies and loads nothing from elsewhere.",
    wrong="That answer does not match what {sender} has on file.",
    tries_left=("{n} try left.", "{n} tries left."),
    stale="This page had been open for too long. Please answer once more.",
    locked_heading="Too many wrong answers",
    locked_text=("To protect your data this page takes no answers for {n} minute.", "To protect your data this page takes no answers for {n} minutes."),
    gone_heading="This page is not available",
    gone_text="The link is not valid, or no longer. If you need what it led to, please ask the company that wrote to you.",
    busy_heading="Please try again in a moment",
    busy_text="The page cannot be shown right now. Nothing was lost.",
    claim_heading="Payment reminder",
    claim_title="Payment reminder {claim}",
    to="To",
    issued="Issued on",
    reminder="Reminder no.",
    pay_by="Please pay by",
    told_heading="As sent on {day}",
    told_text="This part stays as it was sent.",
    today_heading="As it stands today, {day}",
    today_text="Payments that reached us since then are counted here.",
    settled_heading="Settled",
    settled_text="Everything this reminder asked for is settled. There is nothing left to do. Thank you.",
    open_of_claim="Still open of this reminder",
    open_in_all="Open in all",
    open_today="Open today",
    standings=_standings("settled", "withdrawn", "part paid", "overdue", "not yet due", "credit"),
    beside_claim="not part of this reminder",
    open_document="Open document",
    pay_heading="How to pay",
    pay_text="Please transfer the open amount and state the payment reference, so that it is matched at once.",
    acknowledge_heading="Confirm receipt",
    acknowledge_text="Confirming says only that you have received this reminder. It does not mean that you agree with it, and waives no right.",
    statement="I confirm that I have received this reminder.",
    name_label="Your name",
    role_label="Your role in the company",
    role_hint="For example: accounting, managing director.",
    acknowledge="Confirm receipt",
    name_missing="Type your name.",
    role_missing="Type your role in the company.",
    thanks_heading="Receipt confirmed",
    thanks_text="{name} ({role}) confirmed on {day} that reminder {claim} was received.",
    thanks_close="You can close this page.",
    answer_again="Please open the page once more before you confirm.",
    internal_heading="For colleagues only",
    internal_landing="{sender} sent this link to a colleague. What it shows is meant for people of the company, and never counts as read by the customer.",
    internal_show="Show",
    internal_text="Reminder {claim} of {day} was sent to the customer. What you do here is never counted as the customer’s reading.",
    internal_crm="Open the customer in your own system",
    internal_no_crm="Look the reminder up by its number in your own system.",
)
_ES = PageWords(
    language_name="Español",
    languages="Idioma",
    skip="Ir al contenido",
    error="Error",
    problem_heading="Hay un problema",
    questions="¿Preguntas? Escriba a",
    landing_heading="{sender} le ha enviado un enlace personal",
    landing_text="Para que solo su empresa vea lo que contiene, responda a una pregunta, por favor.",
    tax_label="Últimos 4 caracteres del NIF de su empresa",
    tax_hint="El número de identificación fiscal de la empresa a la que se envió. También puede escribir el número entero.",
    document_label="El número de uno de sus documentos de {sender}",
    document_hint="Por ejemplo, el número de una factura pendiente. Los espacios y los guiones no importan.",
    button_text="Pulse el botón para abrir la página.",
    show="Mostrar la página",
    recorded="Registramos que esta página se abre y se contesta, como constancia de la entrega. No usa cookies ni carga nada de otros sitios.",
    wrong="Esa respuesta no coincide con los datos que tiene {sender}.",
    tries_left=("Queda {n} intento.", "Quedan {n} intentos."),
    stale="Esta página llevaba demasiado tiempo abierta. Conteste otra vez, por favor.",
    locked_heading="Demasiadas respuestas erróneas",
    locked_text=(
        "Para proteger sus datos, esta página no admite respuestas durante {n} minuto.",
        "Para proteger sus datos, esta página no admite respuestas durante {n} minutos.",
    ),
    gone_heading="Esta página no está disponible",
    gone_text="El enlace no es válido o ha dejado de serlo. Si necesita lo que mostraba, pregunte a la empresa que le escribió.",
    busy_heading="Inténtelo de nuevo en un momento",
    busy_text="La página no se puede mostrar ahora mismo. No se ha perdido nada.",
    claim_heading="Reclamación de pago",
    claim_title="Reclamación de pago {claim}",
    to="Para",
    issued="Emitida el",
    reminder="Aviso n.º",
    pay_by="Pague, por favor, antes del fin del",
    told_heading="Tal como se envió el {day}",
    told_text="Esta parte queda como se envió.",
    today_heading="Situación a día de hoy, {day}",
    today_text="Aquí se cuentan los pagos recibidos desde entonces.",
    settled_heading="Saldada",
    settled_text="Todo lo que pedía esta reclamación está saldado. No tiene que hacer nada más. Gracias.",
    open_of_claim="Pendiente de esta reclamación",
    open_in_all="Pendiente en total",
    open_today="Pendiente hoy",
    standings=_standings("saldado", "anulado", "pagado en parte", "vencido", "por vencer", "abono"),
    beside_claim="fuera de esta reclamación",
    open_document="Abrir el documento",
    pay_heading="Cómo pagar",
    pay_text="Transfiera el importe pendiente e indique el concepto, para que se impute enseguida.",
    acknowledge_heading="Confirmar la recepción",
    acknowledge_text="Confirmar solo dice que ha recibido esta reclamación. No significa que esté de acuerdo ni que renuncie a ningún derecho.",
    statement="Confirmo que he recibido esta reclamación.",
    name_label="Su nombre",
    role_label="Su cargo en la empresa",
    role_hint="Por ejemplo: contabilidad, administrador.",
    acknowledge="Confirmar la recepción",
    name_missing="Escriba su nombre.",
    role_missing="Escriba su cargo en la empresa.",
    thanks_heading="Recepción confirmada",
    thanks_text="{name} ({role}) confirmó el {day} la recepción de la reclamación {claim}.",
    thanks_close="Puede cerrar esta página.",
    answer_again="Abra la página otra vez antes de confirmar.",
    internal_heading="Solo para compañeros",
    internal_landing="{sender} envió este enlace a un compañero. Lo que muestra es para personas de la empresa y nunca cuenta como leído por el cliente.",
    internal_show="Mostrar",
    internal_text="La reclamación {claim} del {day} se envió al cliente. Lo que haga aquí no cuenta nunca como lectura del cliente.",
    internal_crm="Abrir el cliente en su propio sistema",
    internal_no_crm="Busque la reclamación por su número en su propio sistema.",
)
_IT = PageWords(
    language_name="Italiano",
    languages="Lingua",
    skip="Vai al contenuto",
    error="Errore",
    problem_heading="C’è un problema",
    questions="Domande? Scrivete a",
    landing_heading="{sender} vi ha inviato un link personale",
    landing_text="Perché solo la vostra azienda veda il contenuto, rispondete a una domanda.",
    tax_label="Ultimi 4 caratteri della partita IVA della vostra azienda",
    tax_hint="Partita IVA o codice fiscale dell’azienda destinataria. Potete anche scrivere il numero intero.",
    document_label="Il numero di un vostro documento di {sender}",
    document_hint="Per esempio il numero di una fattura aperta. Spazi e trattini non contano.",
    button_text="Premete il pulsante per aprire la pagina.",
    show="Mostra la pagina",
    recorded="Registriamo l’apertura di questa pagina e la risposta, come prova della consegna. Non usa cookie e non carica nulla da altri siti.",
    wrong="La risposta non corrisponde ai dati in possesso di {sender}.",
    tries_left=("Resta {n} tentativo.", "Restano {n} tentativi."),
    stale="La pagina è rimasta aperta troppo a lungo. Rispondete ancora una volta.",
    locked_heading="Troppe risposte errate",
    locked_text=(
        "Per proteggere i vostri dati, questa pagina non accetta risposte per {n} minuto.",
        "Per proteggere i vostri dati, questa pagina non accetta risposte per {n} minuti.",
    ),
    gone_heading="Questa pagina non è disponibile",
    gone_text="Il link non è valido o non lo è più. Se vi serve il suo contenuto, chiedete all’azienda che vi ha scritto.",
    busy_heading="Riprovate tra un momento",
    busy_text="La pagina non può essere mostrata in questo momento. Nulla è andato perso.",
    claim_heading="Sollecito di pagamento",
    claim_title="Sollecito di pagamento {claim}",
    to="A",
    issued="Emesso il",
    reminder="Sollecito n.",
    pay_by="Da pagare entro il",
    told_heading="Come inviato il {day}",
    told_text="Questa parte resta come è stata inviata.",
    today_heading="Situazione a oggi, {day}",
    today_text="Qui sono contati i pagamenti ricevuti da allora.",
    settled_heading="Saldato",
    settled_text="Tutto ciò che questo sollecito chiedeva è saldato. Non c’è altro da fare. Grazie.",
    open_of_claim="Ancora aperto di questo sollecito",
    open_in_all="Aperto in totale",
    open_today="Aperto oggi",
    standings=_standings("saldato", "annullato", "pagato in parte", "scaduto", "a scadere", "accredito"),
    beside_claim="fuori da questo sollecito",
    open_document="Apri il documento",
    pay_heading="Come pagare",
    pay_text="Vi preghiamo di versare l’importo aperto indicando la causale, così che sia abbinato subito.",
    acknowledge_heading="Confermare la ricezione",
    acknowledge_text="La conferma dice solo che avete ricevuto questo sollecito. Non significa che siete d’accordo e non comporta la rinuncia ad alcun diritto.",
    statement="Confermo di aver ricevuto questo sollecito.",
    name_label="Il vostro nome",
    role_label="Il vostro ruolo in azienda",
    role_hint="Per esempio: contabilità, amministratore.",
    acknowledge="Conferma la ricezione",
    name_missing="Scrivete il vostro nome.",
    role_missing="Scrivete il vostro ruolo in azienda.",
    thanks_heading="Ricezione confermata",
    thanks_text="{name} ({role}) ha confermato il {day} la ricezione del sollecito {claim}.",
    thanks_close="Potete chiudere questa pagina.",
    answer_again="Aprite di nuovo la pagina prima di confermare.",
    internal_heading="Solo per colleghi",
    internal_landing="{sender} ha inviato questo link a un collega. Ciò che mostra è per le persone dell’azienda e non vale mai come lettura del cliente.",
    internal_show="Mostra",
    internal_text="Il sollecito {claim} del {day} è stato inviato al cliente. Ciò che fate qui non vale mai come lettura del cliente.",
    internal_crm="Apri il cliente nel vostro sistema",
    internal_no_crm="Cercate il sollecito con il suo numero nel vostro sistema.",
)
_FR = PageWords(
    language_name="Français",
    languages="Langue",
    skip="Aller au contenu",
    error="Erreur",
    problem_heading="Il y a un problème",
    questions="Des questions ? Écrivez à",
    landing_heading="{sender} vous a envoyé un lien personnel",
    landing_text="Pour que seule votre entreprise en voie le contenu, merci de répondre à une question.",
    tax_label="4 derniers caractères du numéro fiscal de votre entreprise",
    tax_hint="Numéro de TVA ou SIREN de l’entreprise destinataire. Vous pouvez aussi saisir le numéro entier.",
    document_label="Le numéro d’un de vos documents de {sender}",
    document_hint="Par exemple le numéro d’une facture ouverte. Les espaces et les tirets ne comptent pas.",
    button_text="Appuyez sur le bouton pour ouvrir la page.",
    show="Afficher la page",
    recorded="Nous enregistrons l’ouverture de cette page et la réponse, comme preuve de remise. Elle n’utilise aucun cookie et ne charge rien d’ailleurs.",
    wrong="Cette réponse ne correspond pas aux données de {sender}.",
    tries_left=("Il reste {n} essai.", "Il reste {n} essais."),
    stale="Cette page est restée ouverte trop longtemps. Merci de répondre encore une fois.",
    locked_heading="Trop de réponses erronées",
    locked_text=(
        "Pour protéger vos données, cette page n’accepte plus de réponse pendant {n} minute.",
        "Pour protéger vos données, cette page n’accepte plus de réponse pendant {n} minutes.",
    ),
    gone_heading="Cette page n’est pas disponible",
    gone_text="Le lien n’est pas valable, ou ne l’est plus. Si vous avez besoin de son contenu, adressez-vous à l’entreprise qui vous a écrit.",
    busy_heading="Réessayez dans un instant",
    busy_text="La page ne peut pas être affichée en ce moment. Rien n’a été perdu.",
    claim_heading="Relance de paiement",
    claim_title="Relance de paiement {claim}",
    to="À",
    issued="Émise le",
    reminder="Relance n°",
    pay_by="À régler avant la fin du",
    told_heading="Telle qu’envoyée le {day}",
    told_text="Cette partie reste telle qu’elle a été envoyée.",
    today_heading="Situation à ce jour, {day}",
    today_text="Les règlements reçus depuis sont comptés ici.",
    settled_heading="Soldée",
    settled_text="Tout ce que demandait cette relance est soldé. Vous n’avez plus rien à faire. Merci.",
    open_of_claim="Reste dû sur cette relance",
    open_in_all="Reste dû au total",
    open_today="Reste dû à ce jour",
    standings=_standings("soldé", "annulé", "réglé en partie", "échu", "à échoir", "avoir"),
    beside_claim="hors de cette relance",
    open_document="Ouvrir le document",
    pay_heading="Comment régler",
    pay_text="Merci de virer le reste dû en indiquant la référence, pour qu’il soit rapproché aussitôt.",
    acknowledge_heading="Confirmer la réception",
    acknowledge_text="Confirmer dit seulement que vous avez reçu cette relance. Cela ne vaut ni accord ni renonciation à un droit.",
    statement="Je confirme avoir reçu cette relance.",
    name_label="Votre nom",
    role_label="Votre fonction dans l’entreprise",
    role_hint="Par exemple : comptabilité, gérant.",
    acknowledge="Confirmer la réception",
    name_missing="Saisissez votre nom.",
    role_missing="Saisissez votre fonction dans l’entreprise.",
    thanks_heading="Réception confirmée",
    thanks_text="{name} ({role}) a confirmé le {day} la réception de la relance {claim}.",
    thanks_close="Vous pouvez fermer cette page.",
    answer_again="Ouvrez la page encore une fois avant de confirmer.",
    internal_heading="Réservé aux collègues",
    internal_landing="{sender} a envoyé ce lien à un collègue. Ce qu’il montre est destiné aux personnes de l’entreprise et ne compte jamais comme lu par le client.",
    internal_show="Afficher",
    internal_text="La relance {claim} du {day} a été envoyée au client. Ce que vous faites ici ne compte jamais comme lecture du client.",
    internal_crm="Ouvrir le client dans votre système",
    internal_no_crm="Recherchez la relance par son numéro dans votre propre système.",
)
PAGE_WORDS: Mapping[str, PageWords] = MappingProxyType({"en": _EN, "es": _ES, "it": _IT, "fr": _FR})


def page_words(language: str) -> PageWords:
    """Return the words of a language; English for one the page is not written in."""
    return PAGE_WORDS.get(language, _EN)


def counted(forms: tuple[str, str], n: int) -> str:
    """Write a phrase with its number."""
    return forms[0 if n == 1 else 1].replace("{n}", str(n))
