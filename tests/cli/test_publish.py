import synthetic_run

from tfticket.cli import main


def test_publish_prints_the_folder(tmp_path, capsys):
    run = synthetic_run.write_run(tmp_path / "lth_synthetic" / "default", seeds=(0,), levels=1)
    (run / "export").mkdir()
    (run / "export" / "seed_0_level_01.int8.tflite").write_bytes(b"model")
    (run / "export" / "seed_0_level_01.int8.json").write_text("{}")
    assert main(["report", str(run)]) == 0
    capsys.readouterr()
    assert main(["publish", str(run), "--root", str(tmp_path / "saved")]) == 0
    folder = tmp_path / "saved" / "lth_synthetic"
    assert capsys.readouterr().out == f"{folder}\n"
    assert (folder / "card.json").is_file()


def test_a_run_that_is_not_complete_is_refused(tmp_path, capsys):
    run = synthetic_run.write_run(tmp_path / "run", seeds=(0,), levels=1, complete=False)
    assert main(["publish", str(run), "--root", str(tmp_path / "saved")]) == 1
    assert "Only a complete run can be published" in capsys.readouterr().err
