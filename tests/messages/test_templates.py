"""The users' template language: what it allows, what it refuses and how it says so, and what is rendered."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dunning.messages.placeholders import BLOCK_FIELDS, ITEM_FIELDS, PLACEHOLDERS, translate_tags
from dunning.messages.rendering import CannotRender, render
from dunning.messages.templates import TemplateRefused, check, compile_template, facts_of, inspect
from tests.messages.claims import LINK, block, claim, rich_claim, row


def contents(
    text: str = "Hello {{customer_name}}", *, subject: str = "About {{claim_number}}", html: str | None = None, language: str = "en"
) -> dict[str, Any]:
    return {language: {"subject": subject, "text": text, "html": html}}


def written(text: str, data: dict[str, Any] | None = None, *, html: str | None = None, **given: Any) -> Any:
    made = contents(text, html=html)
    check(made)
    return render(compile_template(f"t{hash((text, html))}", 1, made), data or claim(), "en", **given)


def fault(text: str = "x", **parts: Any) -> str:
    with pytest.raises(TemplateRefused) as refused:
        check(contents(text, **parts))
    return str(refused.value.problems[0])


# Placeholders


def test_every_documented_placeholder_has_a_value_in_a_full_claim() -> None:
    """S1-12: the table of placeholders is what rendering knows, no more and no less."""
    for name in PLACEHOLDERS:
        full = rich_claim(personal_text="As agreed.")
        said = written(f"[{{{{{name}}}}}]", full, contact_name="Anna Rossi", link_url=LINK, crm_url=LINK, opt_out_url=LINK).text
        assert re.fullmatch(r"\[.+\]\n", said, re.DOTALL), name


def test_a_table_that_somebodys_own_words_show_is_not_shown_twice() -> None:
    """S4-16: it stands where the words have it; where they have none, where the template has it."""
    body = "{{% if personal_text %}}{personal}{{% endif %}}-{table}-{{% if payment_details %}}TO PAY {bank}{{% endif %}}"
    body = body.format(personal="{{personal_text}}", table="{{items_list_selected}}", bank="{{payment_details}}")
    with_table = written(body, rich_claim(personal_text="See #items_list_selected please.")).text
    plain = written(body, rich_claim(personal_text="See below.")).text
    assert with_table.count("1001") == plain.count("1001")
    assert "please.--TO PAY" in with_table.replace("\n", "")
    assert "please.--" not in plain.replace("\n", "")
    assert "TO PAY" not in written(body, rich_claim(personal_text="Pay here: #payment_details")).text


def test_every_documented_part_of_rows_and_blocks_has_a_value() -> None:
    for name, field in ITEM_FIELDS.items():
        body = f"{{% if item.{name} %}}yes{{% endif %}}" if field.condition else f"{{% if item.{name} %}}{{{{item.{name}}}}}{{% endif %}}"
        assert written(f"{{% for item in items %}}[{body}]{{% endfor %}}", rich_claim()).text.count("[") == 6
    for name, field in BLOCK_FIELDS.items():
        body = f"{{% if block.{name} %}}yes{{% endif %}}" if field.condition else f"{{{{block.{name}}}}}"
        assert written(f"{{% for block in blocks %}}[{body}]{{% endfor %}}", rich_claim()).text.count("[") == 2


def test_the_subject_and_body_say_what_the_claim_froze() -> None:
    """S1-04, S1-05, B-53."""
    said = render(
        compile_template("s", 1, contents("Pay {{items_amount}} by {{deadline}}. {{consequence}}", subject="Reminder {{reminder_number}} to {{customer_name}}")),
        claim(), "en",
    )  # fmt: skip
    assert said.subject == "Reminder 2 to Rossi & Figli S.r.l."
    assert said.text == "Pay €40.00 by 9 March 2026. Deliveries end with that day.\n"
    assert said.html is None


def test_hash_tags_are_placeholders_written_another_way() -> None:
    """S4-15, S4-16."""
    assert translate_tags("#items_amount_selected of #customer_name, see #link") == "{{items_amount_selected}} of {{customer_name}}, see {{link_url}}"
    assert written("Open: #items_amount_selected", rich_claim()).text == "Open: €12,385.50 and US$71.23\n"
    listed = written("#items_list_selected", rich_claim()).text
    assert "90417" in listed
    assert not any(number in listed for number in ("ND-517", "90450", "NC-803"))


def test_a_hash_that_is_no_tag_stays_what_it_is() -> None:
    plain = "Invoice #123, order #A7, &#39;, https://x.example/#deadline_page, colour #fff"
    assert written(plain).text == plain + "\n"
    styled = "<html><head><style>#customer_name { color: #deadline }</style></head><body><p>#customer_name</p></body></html>"
    assert translate_tags(styled).count("{{") == 1


def test_a_mistyped_hash_tag_is_refused_with_the_right_one() -> None:
    assert fault("a\nb #items_amout_selected") == "en, text, line 2: unknown placeholder #items_amout_selected; did you mean #items_amount_selected?"


def test_an_unknown_placeholder_names_language_part_line_and_the_likely_one() -> None:
    """S1-12: unknown placeholder is a publish error, never a blank in a mail."""
    assert fault("one\ntwo {{custmer_name}}") == "en, text, line 2: unknown placeholder {{custmer_name}}; did you mean {{customer_name}}?"
    assert "known are customer_name" in fault("{{zzzzzzzz}}")
    assert fault("{% for item in items %}{{item.numbr}}{% endfor %}").endswith("unknown placeholder {{item.numbr}}; did you mean {{item.number}}?")
    assert facts_of(contents("{{custmer_name}}")).unknown == {"custmer_name"}


def test_all_faults_of_all_languages_are_told_at_once() -> None:
    with pytest.raises(TemplateRefused) as refused:
        check(contents("{{nope}} {{ 1 + 1 }}", subject="") | contents("{{nada}}", language="it") | {"xx": {"subject": "a", "text": "b"}})
    told = [(one["language"], one["part"]) for one in refused.value.errors]
    assert told == [("en", "subject"), ("it", "text"), ("xx", "")]
    assert "supported are en, es, it, fr" in refused.value.errors[2]["message"]


# What can be missing


@pytest.mark.parametrize("name", ["deadline", "consequence", "contact_name", "link_url", "payment_details"])
def test_a_missing_value_stops_the_message_and_never_leaves_a_blank(name: str) -> None:
    """S1-12, C-13."""
    bare = claim(deadline_on=None, consequence=None, blocks=[block("GBP", row("1"))])
    with pytest.raises(CannotRender, match=re.escape(f"{{{{{name}}}}} has no value in this claim")) as refused:
        written(f"before {{{{{name}}}}} after", bare)
    assert refused.value.facts["placeholder"] == name
    assert written(f"before {{% if {name} %}}{{{{{name}}}}}{{% else %}}nothing{{% endif %}} after", bare).text == "before nothing after\n"
    assert written(f"{{% if not {name} %}}nothing{{% else %}}{{{{{name}}}}}{{% endif %}}", bare).text == "nothing\n"


def test_an_empty_value_is_missing_too() -> None:
    with pytest.raises(CannotRender, match="customer_name"):
        written("Dear {{customer_name}}", claim(customer={"external_id": "1", "name": " \t "}))


def test_the_facts_tell_which_values_a_template_cannot_do_without() -> None:
    guarded = "{% if deadline %}{{deadline}}{% endif %}{% if not consequence %}-{% else %}{{consequence}}{% endif %}"
    found = check(contents(guarded))
    assert (found.facts.unguarded, found.warnings) == (frozenset(), ())
    found = check(contents("{% if not deadline %}{{deadline}}{% endif %} {% if consequence %}x{% else %}{{consequence}}{% endif %}"))
    assert found.facts.unguarded == {"deadline", "consequence"}
    assert "will not be sent" in found.warnings[0].message


def test_facts_hold_placeholders_languages_and_whether_rows_are_shown() -> None:
    made = contents("{{claim_number}}", subject="A") | contents("{% for item in items %}{{item.open}}{% endfor %}", subject="B {{items_amount}}", language="it")
    facts = facts_of(made, code="mine")
    assert (facts.code, facts.languages, facts.placeholders) == ("mine", {"en", "it"}, {"claim_number", "items_amount"})
    assert facts.has_item_rows
    assert facts.full_only == {"items_amount"}
    assert not facts_of(contents("{{claim_number}}")).has_item_rows


def test_a_translation_that_leaves_out_the_deadline_is_a_listed_warning() -> None:
    """C-13."""
    found = inspect(contents("{% if deadline %}{{deadline}}{% endif %}") | contents("senza", language="it"))
    assert [str(one) for one in found.warnings] == ["it, , line 0: does not print {{deadline}}, which another language of this template does"]


# What is not allowed

REFUSED = {
    "{{ 'x' * 100000000 }}": "calculations are not allowed",
    "{{ 1 }}": "put fixed text outside the braces",
    "{{ 'a' }}": "put fixed text outside the braces",
    "{{ customer_name|upper }}": "filters",
    "{{ customer_name.upper() }}": "calls are not allowed",
    "{{ customer_name.__class__ }}": "only item.… and block.… have parts",
    "{{ customer_name.__class__.__mro__[1].__subclasses__() }}": "calls are not allowed",
    "{{ customer_name['x'] }}": "square brackets",
    "{{ items[0].number }}": "only item.… and block.… have parts",
    "{{ item.number }}": "stands outside",
    "{{ items }}": "cannot be used by itself",
    "{% for item in items %}{{ item }}{% endfor %}": "cannot be used by itself",
    "{% for item in items %}{{ item.is_overdue }}{% endfor %}": "can only be asked",
    "{% for item in items %}{{ item.__init__ }}{% endfor %}": "unknown placeholder {{item.__init__}}",
    "{% for item in items %}{{ item._replace }}{% endfor %}": "unknown placeholder {{item._replace}}",
    "{% for item in items %}{{ loop.index }}{% endfor %}": "only item.… and block.… have parts",
    "{% for item in items %}{{ item.document_on }}{% endfor %}": "can be missing",
    "{% for item in items %}{{ items_list }}{% endfor %}": "take it out of the loop",
    "{% for x in items %}{% endfor %}": "only these loops",
    "{% for item in blocks %}{% endfor %}": "only these loops",
    "{% for item in items if item.is_credit %}{% endfor %}": "only these loops",
    "{% for item in items recursive %}{% endfor %}": "only these loops",
    "{% for item in items %}{% for item in items %}{% endfor %}{% endfor %}": "only these loops",
    "{% for block in blocks %}{% for item in items %}{% endfor %}{% endfor %}": "only these loops",
    "{% for item in items %}{% else %}x{% endfor %}": "only these loops",
    "{% for a, b in items %}{% endfor %}": "only these loops",
    "{% for item in range(999999999) %}{% endfor %}": "only these loops",
    "{% if items_amount > 3 %}x{% endif %}": "comparisons",
    "{% if deadline and consequence %}x{% endif %}": "instead of 'and'",
    "{% if deadline or consequence %}x{% endif %}": "instead of 'or'",
    "{{ deadline if deadline else 'x' }}": "write {% if placeholder %}",
    "{{ customer_name ~ claim_number }}": "one after the other",
    "{{ -1 }}": "calculations",
    "{{ [1] }}": "not part of the template language",
    "{{ self }}": "unknown placeholder",
    "{{ loop }}": "cannot be used by itself",
    "{{ cycler.__init__.__globals__ }}": "only item.… and block.… have parts",
    "{% set x = 1 %}": "setting variables",
    "{% import 'os' as os %}": "imports",
    "{% from 'os' import path %}": "imports",
    "{% include 'x' %}": "including",
    "{% extends 'x' %}": "extending",
    "{% block b %}{% endblock %}": "blocks are not allowed",
    "{% macro m() %}{% endmacro %}": "macros",
    "{% call x() %}{% endcall %}": "not part of the template language",
    "{% filter upper %}{% endfilter %}": "not part of the template language",
    "{% with x = 1 %}{% endwith %}": "not part of the template language",
    "{% do x %}": "cannot be read",
    "{% if deadline %}": "cannot be read",
    "{{ customer_name": "cannot be read",
    "{% if a": "cannot be read",
}  # fmt: skip


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_not_in_the_template_language_is_refused_at_publish(source: str) -> None:
    """I1: 0 template code run. Refused as it is checked, and again as it is compiled."""
    told = fault(f"line one\n{source}")
    assert REFUSED[source] in told, told
    assert ", line 2: " in told
    with pytest.raises(TemplateRefused):
        compile_template(f"refused {source}", 1, contents(source)).in_language("en")


def test_the_allow_list_is_what_refuses_and_not_the_sandbox_behind_it() -> None:
    """The control: Jinja's sandbox alone runs a sum that fills memory."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    assert len(ImmutableSandboxedEnvironment().from_string("{{ 'x' * 1000000 }}").render()) == 1_000_000


def test_size_nesting_and_number_of_tags_are_capped() -> None:
    assert fault("x" * 65_537).endswith("longer than 64 kB; shorten it")
    check(contents("x" * 65_536))
    check(contents("{% if deadline %}" * 8 + "{% endif %}" * 8))
    assert "nested more than 8 deep" in fault("{% if deadline %}" * 9 + "{% endif %}" * 9)
    assert "more than 500 tags" in fault("{% if deadline %}x{% endif %}" * 251)
    assert "nested too deeply" in fault("{{ " + "(" * 5_000 + "deadline" + ")" * 5_000 + " }}")


def test_a_template_that_writes_too_much_is_stopped() -> None:
    many = claim(block("EUR", *(row(str(n)) for n in range(1_000))))
    text = "{% for item in items %}" + "x" * 300 + "{% endfor %}"
    with pytest.raises(CannotRender, match="256 kB"):
        written(text, many)
    assert len(written("{{items_list}}", many, html="<html><body>{{items_list}}</body></html>").text) > 10_000


def test_a_subject_is_one_line_without_tables() -> None:
    assert "must be one line" in fault(subject="a\nb")
    assert "must be one line" in fault(subject="x" * 501)
    assert "is missing" in fault(subject="  ")
    assert "does not fit into a subject" in fault(subject="{{items_list}}")
    with pytest.raises(TemplateRefused, match="needs a text, HTML, or both"):
        check({"en": {"subject": "a"}})
    with pytest.raises(TemplateRefused, match="no such part"):
        check({"en": {"subject": "a", "text": "b", "body": "c"}})
    with pytest.raises(TemplateRefused, match="at least one language"):
        check({})


# HTML

BAD_HTML = {
    "<script>alert(1)</script>": "<script> is not allowed",
    "<p onclick='x()'>a</p>": "attribute onclick",
    "<img src='https://spy.example/p.gif'>": "pictures must not be loaded",
    "<img srcset='https://spy.example/p.gif'>": "attribute srcset",
    "<table background='https://spy.example/p.gif'></table>": "attribute background",
    "<a href='javascript:alert(1)'>a</a>": "a link must begin with",
    "<a href='java&#115;cript:alert(1)'>a</a>": "a link must begin with",
    "<a href='{{customer_name}}'>a</a>": "only a link placeholder",
    "<a href='https://x.example/{{customer_name}}'>a</a>": "only a link placeholder",
    "<p title='{{customer_name}}'>a</p>": "only a link placeholder",
    "<p {% if deadline %}class='a'{% endif %}>a</p>": "only a link placeholder",
    "<p style='background:url(https://spy.example)'>a</p>": "styles must not load",
    "<p style='background:u\\72l(https://spy.example)'>a</p>": "styles must not load",
    "<style>@import 'https://spy.example/x.css';</style>": "styles must not load",
    "<style>p { color: {{customer_name}} }</style>": "placeholders cannot stand inside <style>",
    "<link rel='stylesheet' href='https://spy.example/x.css'>": "<link> is not allowed",
    "<iframe src='https://x.example'></iframe>": "<iframe> is not allowed",
    "<form action='https://x.example'></form>": "<form> is not allowed",
    "<base href='https://x.example/'>": "<base> is not allowed",
    "<meta http-equiv='refresh' content='0;url=https://x.example'>": "may only name the content type",
    "<!-- {{customer_name}} -->": "placeholders cannot stand inside comments",
    "<svg><a xlink:href='javascript:1'>x</a></svg>": "<svg> is not allowed",
    "<title>{% if deadline %}x{% endif %}</title>": "stands where HTML takes none",
    "{% raw %}{{x}}{% endraw %}": "{% raw %}",
}


@pytest.mark.parametrize("source", BAD_HTML)
def test_html_that_loads_runs_or_mixes_values_into_elements_is_refused(source: str) -> None:
    """Promises 11: no remote images, links only as links, values only between elements."""
    assert BAD_HTML[source] in fault(html=f"<html><body>{source}</body></html>")


def test_braces_written_as_character_references_do_not_get_past_the_list() -> None:
    """The HTML parser of the style inliner turns `&#123;` into a brace after the source was checked."""
    sneaky = "<p>&#123;&#123; customer_name.__class__ &#125;&#125;</p>"
    assert "only item.… and block.… have parts" in fault(html=sneaky)
    with pytest.raises(TemplateRefused):
        compile_template("sneaky", 1, contents(html=sneaky)).in_language("en")


def test_styles_are_inlined_and_dark_mode_rules_kept() -> None:
    page = "<html><head><style>.a { color: #123456 } @media (prefers-color-scheme: dark) { .a { color: #eee !important } }</style></head><body><p class='a'>{{customer_name}}</p></body></html>"
    html = written("x", html=page).html
    assert 'style="color: #123456;"' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert '<html lang="en">' in html
    assert "Rossi &amp; Figli" in html


def test_loops_stand_between_table_rows() -> None:
    page = "<table>{% for item in items %}<tr><td>{{item.number}}</td>{% if item.is_credit %}<td>credit</td>{% endif %}</tr>{% endfor %}</table><p>{{customer_name}}</p>"
    html = written("x", rich_claim(), html=page).html
    table = html.split("</table>")[0]
    assert [number for number in re.findall(r"<td>([^<]+)</td>", table)] == ["90417", "90418", "ND-517", "90450", "NC-803", "credit", "US-777"]


def test_text_is_made_from_html_where_there_is_none() -> None:
    made = {"en": {"subject": "a", "html": "<h1>Hello {{customer_name}}</h1>{{items_list}}<p><a href='{{link_url}}'>Open</a></p>"}}
    check(made)
    said = render(compile_template("only html", 1, made), claim(), "en", link_url=LINK)
    assert "Hello Rossi & Figli S.r.l." in said.text
    assert "€40.00" in said.text
    assert LINK in said.text
    assert "<" not in said.text


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "https://x.example/a b", 'https://x.example/"onclick="x', "https://x.example/\r\nBcc: x", "//x.example", ""]
)
def test_a_link_that_is_no_web_address_stops_the_message(address: str) -> None:
    with pytest.raises(CannotRender, match="not a web address"):
        written("{% if link_url %}{{link_url}}{% endif %}", link_url=address)


# Rows and sums


def test_the_table_shows_sections_with_subtotals_and_one_total_a_currency() -> None:
    """S0-11, B-56, C-11, C-20, C-21, C-22."""
    text = written("{{items_list}}", rich_claim()).text
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    assert lines == [
        "Document Due date Original Open Status",
        "Overdue (EUR)",
        "Invoice 90417 21 Jan 2026 €12,345.50 €12,345.50 40 days overdue, stage 02",
        "Invoice 90418 21 Feb 2026 €100.00 €40.00 part paid, 9 days overdue, stage 01",
        "Debit note ND-517 1 Mar 2026 €25.67 €25.67 1 day overdue",
        "Subtotal: €12,411.17",
        "Not yet due (EUR)",
        "Invoice 90450 14 Mar 2026 €300.99 €300.99 due in 12 days",
        "Subtotal: €300.99",
        "Credits (EUR)",
        "Credit note NC-803 -€100.51 -€100.51 credit",
        "Subtotal: -€100.51",
        "Total to pay: €12,611.65",
        "Document Due date Original Open Status",
        "Invoice US-777 9 Feb 2026 US$71.23 US$71.23 21 days overdue",
        "Total to pay: US$71.23",
    ]


def test_a_credit_is_negative_however_it_was_stored() -> None:
    """C-20."""
    for sign in (1, -1):
        text = written("{{items_list}}", claim(block("EUR", row("1"), row("NC-1", section="credit", original=sign * 500, still_open=sign * 500)))).text
        assert text.count("-€5.00") == 3


def test_a_row_shows_its_own_step_only_where_steps_differ() -> None:
    """C-12."""
    assert "stage 02" in written("{{items_list}}", rich_claim()).text
    assert "stage" not in written("{{items_list}}").text


def test_payment_details_name_the_account_of_each_currency() -> None:
    """S0-06."""
    text = written("{{payment_details}}", rich_claim()).text
    euro, dollar = text.split("\n\n")
    assert "IT60 X054 2811 1010 0000 0123 456" in euro
    assert "€12,611.65" in euro
    assert "GB29 NWBK 6016 1331 9268 19" in dollar
    assert "US$71.23" in dollar
    assert "€" not in dollar
    assert text.count("90417 90418 US-777") == 2


def test_rows_beyond_the_limit_are_counted_and_summed() -> None:
    text = written("{{items_list}}", claim(block("EUR", *(row(f"N{n}", still_open=100) for n in range(502))))).text
    assert text.count("Invoice N") == 500
    assert "and 2 more documents, €2.00" in text
    assert "Total to pay: €502.00" in text


# Text and link only


def test_a_mail_of_text_and_link_only_refuses_amounts_documents_and_rows() -> None:
    """S0-12: every placeholder marked full only is refused, by its name; all others go."""
    for name, entry in PLACEHOLDERS.items():
        made = compile_template(f"link only {name}", 1, contents(f"{{% if {name} %}}{{{{{name}}}}}{{% endif %}}"))
        if entry.full_only:
            with pytest.raises(CannotRender, match=name):
                render(made, claim(content_mode="link_only"), "en", link_url=LINK)
        else:
            render(made, claim(content_mode="link_only"), "en", link_url=LINK)
    loop = compile_template("link only loop", 1, contents("{% for item in items %}x{% endfor %}"))
    with pytest.raises(CannotRender, match="rows of items"):
        render(loop, claim(), "en", content_mode="link_only")
    render(loop, claim(), "en")


# Cache


def test_a_version_is_compiled_once_and_other_contents_are_never_served_from_the_cache() -> None:
    first = compile_template("cached", 1, contents("one"))
    assert compile_template("cached", 1, contents("one")) is first
    assert compile_template("cached", 2, contents("two")) is not first
    other = compile_template("cached", 1, contents("another tenant's"))
    assert render(other, claim(), "en").text == "another tenant's\n"


def test_a_language_the_template_lacks_is_an_error() -> None:
    with pytest.raises(TemplateRefused, match="not written in this language"):
        compile_template("only en", 1, contents("x")).in_language("it")


def test_the_same_claim_gives_the_same_bytes() -> None:
    """C-44: the preview is what is sent."""
    made = compile_template("same", 1, contents("{{items_list}} {{payment_details}}", html="<p>{{items_list}}</p>"))
    assert render(made, rich_claim(), "en") == render(made, rich_claim(), "en")
