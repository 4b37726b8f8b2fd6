from interp.training.metrics import MetricsLog, read_metrics

ROWS = [{"step": 0, "loss": 1.5}, {"step": 5, "loss": 0.25}, {"step": 10, "loss": 0.125}]


def test_what_is_written_is_read_back(tmp_path):
    log = MetricsLog(tmp_path, before_step=0)
    for row in ROWS:
        log.write(row)
    assert read_metrics(tmp_path) == ROWS


def test_reopening_cuts_off_what_comes_after_the_resume_point(tmp_path):
    log = MetricsLog(tmp_path, before_step=0)
    for row in ROWS:
        log.write(row)
    MetricsLog(tmp_path, before_step=10).write({"step": 10, "loss": 7.0})
    assert read_metrics(tmp_path) == [*ROWS[:2], {"step": 10, "loss": 7.0}]


def test_a_line_that_a_crash_left_half_written_is_repaired(tmp_path):
    log = MetricsLog(tmp_path, before_step=0)
    for row in ROWS:
        log.write(row)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-9])  # the crash came in the middle of the last line
    assert read_metrics(tmp_path) == ROWS[:2]
    MetricsLog(tmp_path, before_step=100).write(ROWS[2])
    assert read_metrics(tmp_path) == ROWS
    assert path.read_text().count("\n") == 3


def test_there_are_no_metrics_before_the_first(tmp_path):
    assert read_metrics(tmp_path) == []
