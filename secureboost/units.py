"""Numbers of bytes and seconds as people read them."""


def format_bytes(count: float) -> str:
    """Write a number of bytes in decimal units: ``"1.43 MB"``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1_000
    return f"{size:,.3g} TB" if size < 1_000 else f"{size:,.0f} TB"


def format_seconds(seconds: float) -> str:
    """Write a duration: ``"0.84 s"``, ``"42.0 s"``, ``"3 min 05 s"``, ``"1 h 02 min"``."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"
