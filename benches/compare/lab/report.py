"""Figures, targets and verdicts, for the terminal and as Markdown."""

PASS, MISS, NONE = "PASS", "MISS", ""
MARKERS = "<!-- figures", "<!-- /figures -->"


class Report:
    """What a run found: a table of hits beside the peers, and a list of other figures."""

    def __init__(self):
        self.machine, self.hits, self.hit_columns, self.rows, self.notes = "", [], [], [], []

    @property
    def missed(self):
        verdicts = [row[-1] for row in self.rows] + [cell for row in self.hits for cell in row["verdicts"]]
        return verdicts.count(MISS)

    def row(self, what, figure, target="", ok=None):
        """One figure. `ok`: whether it meets the target; `None`: there is none."""
        verdict = NONE if ok is None else PASS if ok else MISS
        self.rows.append((what, figure, target, verdict))
        print(f"  {what:<58} {figure:>24}   {target:<22} {verdict}", flush=True)

    def hit(self, label, unit, medians, targets):
        """One size of hit. `medians`: server → figure; `targets`: peer → least ratio."""
        own, texts, verdicts = medians.get("condagate"), [], []
        for peer, figure in medians.items():
            if peer == "condagate" or not own or not figure:
                continue
            ratio, least = own / figure, targets.get(peer)
            verdict = NONE if least is None else PASS if ratio >= least else MISS
            wanted = "" if least is None else f" (≥ {least:.2f}) {verdict}"
            texts.append(f"{ratio:.2f} × {peer}{wanted}")
            verdicts.append(verdict)
        self.hits.append({"label": label, "unit": unit, "medians": medians, "texts": texts, "verdicts": verdicts})
        figures = ", ".join(f"{name} {show(value, unit)}" for name, value in medians.items())
        print(f"  {label:<8} {figures}\n           {'; '.join(texts)}", flush=True)

    def markdown(self, brief=False):
        """The tables. `brief`: leaves out the figures that have no target."""
        rows = [row for row in self.rows if row[3] or not brief]
        out = [f"Machine: {self.machine}."] if self.machine else []
        if self.hits:
            names = list(self.hits[0]["medians"])
            out += ["", "| hit, 32 connections | " + " | ".join(names) + " | ratio |", "|---" * (len(names) + 2) + "|"]
            for row in self.hits:
                cells = [show(row["medians"].get(name), row["unit"]) for name in names]
                out.append(f"| {row['label']} | " + " | ".join(cells) + " | " + "; ".join(row["texts"]) + " |")
        if rows:
            out += ["", "| what | figure | target | |", "|---|---|---|---|"]
            out += ["| " + " | ".join(row) + " |" for row in rows]
        out += ["", *[f"- {note}" for note in self.notes]] if self.notes else []
        return "\n".join(out).strip() + "\n"

    def into(self, page):
        """Puts the brief tables between the markers of a page, and nothing else in it changes."""
        text = page.read_text()
        begin, end = text.index(MARKERS[0]), text.index(MARKERS[1])
        begin = text.index("-->", begin) + len("-->")
        page.write_text(f"{text[:begin]}\n{self.markdown(brief=True)}{text[end:]}")


def show(value, unit):
    """A figure with its unit; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} GB/s" if unit == "bytes" else f"{value / 1e3:.1f} k/s"


def mib(count):
    return f"{count / (1 << 20):.1f} MiB"
