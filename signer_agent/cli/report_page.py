"""The report as a page that prints well: the summary, laid out. The evidence is in report.json."""

from typing import Any

_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Ceremony report: {{ s.instance }}</title>
<style>
  @page { size: A4; margin: 18mm 15mm; }
  :root { color-scheme: light; }
  body { font: 10.5pt/1.45 system-ui, sans-serif; color: #111; background: #fff;
         max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
  table { border-collapse: collapse; width: 100%; margin: .4rem 0; }
  th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0;
           border-bottom: 1px solid #bbb; }
  th { font-weight: 600; }
  code { font: 8.5pt/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
  .practice { border: 2px solid #111; padding: .3rem .6rem; font-weight: 700;
              display: inline-block; }
  .alone { border-left: 4px solid #111; padding-left: .7rem; }
  tr, .keep { break-inside: avoid; } thead { display: table-header-group; }
  .note { color: #444; }
</style>
</head>
<body>
{% if s.practice %}<p class="practice">PRACTICE</p>{% endif %}
<h1>Ceremony report: {{ s.instance }}</h1>
<p>As of {{ s.as_of | moment }}. Made by the agent of {{ s.made_by }}, from the signed
histories of {{ s.units | length }} crypto units and {{ s.log.size }} log entries.</p>
<p class="note">This page shows what report.json proves. It proves nothing by itself: check with
<code>quorate verify report.json --charter charter.json</code>, and a charter of your own.</p>

<h2>Was anyone ever alone?</h2>
{% if s.alone %}<ul class="alone">{% for line in s.alone %}<li>{{ line }}</li>{% endfor %}</ul>
{% else %}<p>No.</p>{% endif %}
{% if s.two_roles %}<p>One person in two roles:</p>
<ul>{% for line in s.two_roles %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}

<h2>Crypto units</h2>
<table>
<thead><tr><th>Type</th><th>Location</th><th>Serial</th><th>Thresholds</th><th>Administrators</th>
<th>New</th><th>Current</th></tr></thead>
{% for unit in units %}
<tr><td>{{ unit.type | upper }}</td><td>{{ unit.location }}</td><td>{{ unit.serial }}</td>
<td>{{ unit.signature_threshold }} / {{ unit.revocation_threshold }}</td>
<td>{{ unit.administrators | map(attribute="name") | sort | join(", ") }}</td>
<td>{{ unit.new.state }}</td><td>{{ unit.current.state }}</td></tr>
{% endfor %}
</table>
{% for group in keys %}
<p class="keep">Current verification pattern of {{ group.units | join(", ") }}:<br>
<code>{{ group.vp }}</code></p>
{% endfor %}

<h2>People of charter version {{ s.charter.version }}</h2>
<table>
<thead><tr><th>Person</th><th>Signature key (SKI)</th><th>Accepted</th></tr></thead>
{% for person in s.charter.people %}
<tr><td>{{ person.name }}</td>
<td>{% for key in person["keys"] %}<code>{{ key.ski }}</code> {{ key.algorithm }}<br>{% else %}none
{% endfor %}</td>
<td>{{ "yes" if person.name in s.charter.accepted_by else "no" }}</td></tr>
{% endfor %}
</table>

<h2>Commands</h2>
<table>
<thead><tr><th>No.</th><th>Command</th><th>Asked by</th><th>Signed by</th><th>Key parts</th>
<th>Result</th></tr></thead>
{% for request in s.requests %}
<tr><td>{{ request.number }}</td><td>{{ request.what }}<br>
<span class="note">{{ request.command }}{% if request.purpose %}: "{{ request.purpose }}"{% endif %}
</span></td><td>{{ request.filed_by }}<br>{{ request.filed_at | moment }}</td>
<td>{{ request.signed_by | join(", ") or "none needed" }}</td>
<td>{% for part in request.parts %}{{ part.custodian }}
<code>{{ part.vp }}</code><br>{% endfor %}</td>
<td>{{ request.result }}</td></tr>
{% endfor %}
</table>

{% if earlier %}
<h2>Before this log</h2>
<p class="alone">The charter has named another log since. What ran under the versions before is
proven by the units' own receipts: what it was and who signed. Who asked for it, who said No, and
what was asked and never ran isn't in this report.</p>
<table>
<thead><tr><th>Charter</th><th>Command</th><th>Unit</th><th>Signed by</th><th>Key parts</th>
<th>Ran</th></tr></thead>
{% for one in earlier.commands %}
<tr><td>{{ one.charter_version }}</td><td>{{ one.what }}<br>
<span class="note">{{ one.command }}</span></td>
<td>{{ places[one.unit] }}, receipt {{ one.state_version }}</td>
<td>{{ one.signed_by | join(", ") or "none needed" }}</td>
<td>{% for part in one.parts %}{{ part.custodian }} <code>{{ part.vp }}</code><br>{% endfor %}</td>
<td>{{ one.at | moment }}</td></tr>
{% else %}<tr><td colspan="6">nothing</td></tr>
{% endfor %}
</table>
{% endif %}

<h2>Where it is anchored</h2>
<table>
<tr><th>Charter digest</th><td><code>{{ s.charter.digest }}</code></td></tr>
<tr><th>Log</th><td><code>{{ s.log.origin }}</code>, {{ s.log.size }} entries
{%- if s.log.of_other_instances %},
{{ s.log.of_other_instances }} of them of other instances{% endif %}</td></tr>
<tr><th>Log root</th><td><code>{{ s.log.root }}</code></td></tr>
{% if earlier %}{% for log in earlier.logs %}
<tr><th>Earlier log</th><td><code>{{ log.origin }}</code>, of charter version
{{ log.charter_versions | join(", ") }}; not in this report</td></tr>
{% endfor %}{% endif %}
{% for unit in units %}
<tr><th>{{ unit.location }}</th><td>receipt {{ unit.state_version }}
<code>{{ unit.last_receipt }}</code></td></tr>
{% endfor %}
</table>
</body>
</html>
"""


_TYPES = ("operational", "recovery", "failover")


def report_page(summary: dict[str, Any]) -> str:
    """The page for a verified report's summary. Everything in it is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["moment"] = _moment
    units = sorted(
        summary["units"], key=lambda unit: (_TYPES.index(unit["type"]), unit["location"])
    )
    page = environment.from_string(_TEMPLATE)
    places = {unit["id"]: unit["location"] for unit in units}
    earlier = summary.get("earlier_logs")
    return page.render(
        s=summary, units=units, keys=_keys(units), earlier=earlier, places=_Places(places)
    )


class _Places(dict[str, str]):
    """Where units are; those that the newest charter no longer names by their id."""

    def __missing__(self, unit: str) -> str:
        return unit


def _place(unit: dict[str, Any]) -> tuple[int, str]:
    return _TYPES.index(unit["type"]), unit["location"]


def _moment(text: str | None) -> str:
    """`2026-11-24T12:49:30.965Z` for people: to the second, in UTC."""
    return "unknown" if text is None else f"{text[:10]} {text[11:19]} UTC"


def _keys(units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for unit in units:
        if unit["current"]["vp"] is not None:
            groups.setdefault(unit["current"]["vp"], []).append(unit["location"])
    return [
        {"vp": " ".join(vp[at : at + 8] for at in range(0, 64, 8)), "units": locations}
        for vp, locations in groups.items()
    ]
