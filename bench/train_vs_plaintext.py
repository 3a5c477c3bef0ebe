"""What encryption costs: federated training against plaintext boosters, in one run.

    python bench/train_vs_plaintext.py --data credit --trees 3
    python bench/train_vs_plaintext.py --rows 300000 --own 20 --partner 20 --key-bits 2048

The federated runs are two processes over mutual TLS on loopback, as two companies run them. CPU
seconds are those of both processes together; memory is the peak of each. All rows train unless
`--holdout` keeps a part for the AUC.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from data import Vertical, credit, made_up
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from parties.certificates import TLS, create_certificate
from secureboost import RemoteParty, SecureBoostClassifier, pool_tables

HERTZ = 100.0  # clock ticks of /proc/<pid>/stat


class Rows:
    """The training rows of a benchmark and the rows its AUC is taken on."""

    def __init__(self, data: Vertical, holdout: bool) -> None:
        everything = np.arange(len(data.y))
        self.data = data
        self.train = data.train if holdout else everything
        self.test = data.test if holdout else everything


def timed(fit: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall seconds, CPU seconds of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = fit()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def process_cpu(pid: int) -> float:
    """CPU seconds that a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def process_peak_mb(pid: int) -> float:
    """Peak resident memory of a running process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return float("nan")


def federated(rows: Rows, parameters: dict[str, Any]) -> dict[str, Any]:
    """Train between two processes; the feature party is `secureboost serve`."""
    data = rows.data
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for party in ("lender", "partner"):
            create_certificate(party, folder / f"{party}.crt", folder / f"{party}.key")
        data.feature.rename_axis("id").to_csv(folder / "partner.csv")
        (folder / "serve.toml").write_text(
            'listen = "127.0.0.1:0"\nstore = "models"\n'
            '[data]\nfile = "partner.csv"\nid = "id"\n'
            '[tls]\ncertificate = "partner.crt"\nkey = "partner.key"\n'
            '[label_party]\ncertificate = "lender.crt"\n'
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "secureboost", "serve", str(folder / "serve.toml")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            address = process.stdout.readline().removeprefix("listening on ").strip()
            tls = TLS(folder / "lender.crt", folder / "lender.key", folder / "partner.crt")
            party = RemoteParty("partner", address, tls=tls, index=data.label.index)
            warm_up(data, party, parameters)
            before = process_cpu(process.pid)
            model, wall, cpu = timed(
                lambda: SecureBoostClassifier(**parameters).fit(
                    data.label.iloc[rows.train], data.y[rows.train], parties=[party]
                )
            )
            theirs = process_cpu(process.pid) - before
            scores = model.predict_proba(data.label.iloc[rows.test])[:, 1]
            traffic = model.traffic_["partner"].values()
            return {
                "wall": wall,
                "cpu": cpu + theirs,
                "cpu_label_party": cpu,
                "cpu_feature_party": theirs,
                "auc": roc_auc_score(data.y[rows.test], scores),
                "scores": scores,
                "bytes": sum(t.bytes_sent + t.bytes_received for t in traffic),
                "peak_mb_feature_party": process_peak_mb(process.pid),
                "peak_mb_label_party": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
            }
        finally:
            process.terminate()
            process.wait()


def warm_up(data: Vertical, party: RemoteParty, parameters: dict[str, Any]) -> None:
    """Load compiled kernels on both sides, so that they are not counted as training."""
    few = parameters | {"n_estimators": 1, "max_depth": 2}
    positions = np.concatenate([np.flatnonzero(data.y == label)[:100] for label in (0, 1)])
    SecureBoostClassifier(**few).fit(
        data.label.iloc[positions], data.y[positions], parties=[party]
    )


def pooled(rows: Rows, parameters: dict[str, Any]) -> dict[str, Any]:
    """Train our plaintext twin on the pooled columns."""
    table, _ = pool_tables(rows.data.label, {"partner": rows.data.feature})
    return plain_model(rows, lambda: SecureBoostClassifier(**parameters), table)


def plain_model(rows: Rows, make: Callable[[], Any], table: Any) -> dict[str, Any]:
    """Train any scikit-learn classifier on pooled columns, after one run to warm up."""
    X, y = table.iloc[rows.train], rows.data.y[rows.train]
    make().fit(X, y)
    model, wall, cpu = timed(lambda: make().fit(X, y))
    scores = model.predict_proba(table.iloc[rows.test])[:, 1]
    auc = roc_auc_score(rows.data.y[rows.test], scores)
    return {"wall": wall, "cpu": cpu, "auc": auc, "scores": scores}


def in_process(rows: Rows, parameters: dict[str, Any]) -> dict[str, Any]:
    """Train with the plain cipher in one process: the framework's own cost."""
    from secureboost import FeatureParty

    party = FeatureParty("partner", rows.data.feature)
    X, y = rows.data.label.iloc[rows.train], rows.data.y[rows.train]
    model = SecureBoostClassifier(**parameters | {"scheme": "plain"})
    model.fit(X.iloc[:500], y[:500], parties=[party])
    model, wall, cpu = timed(lambda: model.fit(X, y, parties=[party]))
    scores = model.predict_proba(rows.data.label.iloc[rows.test])[:, 1]
    auc = roc_auc_score(rows.data.y[rows.test], scores)
    return {"wall": wall, "cpu": cpu, "auc": auc, "scores": scores}


def others(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Plaintext boosters with the same settings; those that are installed."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    makers: dict[str, Callable[[], Any]] = {
        "scikit-learn": lambda: HistGradientBoostingClassifier(
            max_iter=args.trees,
            max_depth=args.depth,
            max_bins=args.bins,
            learning_rate=args.rate,
            l2_regularization=1.0,
            min_samples_leaf=1,
            max_leaf_nodes=None,
            early_stopping=False,
        )
    }
    try:
        from xgboost import XGBClassifier

        makers["XGBoost"] = lambda: XGBClassifier(
            n_estimators=args.trees,
            max_depth=args.depth,
            max_bin=args.bins,
            learning_rate=args.rate,
            tree_method="hist",
        )
    except ImportError:
        pass
    try:
        from lightgbm import LGBMClassifier

        makers["LightGBM"] = lambda: LGBMClassifier(
            n_estimators=args.trees,
            max_depth=args.depth,
            num_leaves=2**args.depth,
            max_bin=args.bins,
            learning_rate=args.rate,
            reg_lambda=1.0,
            verbose=-1,
        )
    except ImportError:
        pass
    return makers


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["credit", "made-up"], default="made-up")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--own", type=int, default=13)
    parser.add_argument("--partner", type=int, default=10)
    parser.add_argument("--holdout", action="store_true")
    parser.add_argument("--trees", type=int, default=3)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--key-bits", type=int, nargs="*", default=[2048])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    data = credit() if args.data == "credit" else made_up(args.rows, args.own, args.partner)
    rows = Rows(data, args.holdout)
    parameters = {
        "n_estimators": args.trees,
        "max_depth": args.depth,
        "max_bin": args.bins,
        "learning_rate": args.rate,
    }
    results: dict[str, dict[str, Any]] = {}
    for bits in args.key_bits:
        results[f"federated, Paillier {bits}"] = federated(
            rows, parameters | {"key_bits": bits}
        )
    results["federated, plain cipher"] = in_process(rows, parameters)
    results["pooled twin"] = pooled(rows, parameters)
    table, _ = pool_tables(data.label, {"partner": data.feature})
    for name, make in others(args).items():
        results[name] = plain_model(rows, make, table)
    show(args, data, rows, results)


def show(
    args: argparse.Namespace, data: Vertical, rows: Rows, results: dict[str, dict[str, Any]]
) -> None:
    twin = results["pooled twin"]["scores"]
    table = Table(title=f"{data.name}: {len(rows.train):,} training rows, {cpu_name()}")
    for column in (
        "system",
        "CPU s/tree",
        "wall s/tree",
        "MB/tree",
        "peak MB label / feature",
        "AUC",
        "== twin",
    ):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, result in results.items():
        ours = name.startswith(("federated", "pooled"))
        peaks = [result.get(f"peak_mb_{side}_party") for side in ("label", "feature")]
        table.add_row(
            name,
            f"{result['cpu'] / args.trees:.3f}",
            f"{result['wall'] / args.trees:.3f}",
            f"{result['bytes'] / 1e6 / args.trees:.1f}" if "bytes" in result else "-",
            " / ".join(f"{peak:.0f}" for peak in peaks if peak) or "-",
            f"{result['auc']:.4f}",
            str(bool((result["scores"] == twin).all())) if ours else "-",
        )
    Console().print(table)
    if args.json:
        plain = {
            name: {key: value for key, value in result.items() if key != "scores"}
            | {"equals_twin": bool((result["scores"] == twin).all())}
            for name, result in results.items()
        }
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        args.json.write_text(
            json.dumps({"cpu": cpu_name(), "settings": settings, "results": plain}, indent=1)
        )


if __name__ == "__main__":
    main()
