"""`plait bench`: the works of its list, the lines it prints, and what cannot run."""

import json
import pathlib
import subprocess
import sys

PLAIT = pathlib.Path(__file__).parents[2] / "build" / "bin" / "plait"


def bench(*arguments):
    command = [PLAIT, "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def lines(*arguments):
    result = bench("--json", "--seconds", "0", *arguments)
    return result.returncode, [json.loads(line) for line in result.stdout.splitlines()]


def test_the_list_names_each_work_once():
    works = bench("--list").stdout.split()
    assert len(works) == len(set(works))
    for size in ("64x64x64", "513x511x509", "512x50257x768", "7x1000x13"):
        for suffix in ("", "_ta", "_tb", "_bf16"):
            assert f"gemm_{size}{suffix}" in works
    for work in ("gemm_bias_gelu_512x3072x768", "softmax_4096x1024", "adamw_50M",
                 "bias_dropout_residual_ln_fwdbwd_8192x768", "attention_fwdbwd_L2048",
                 "linear_cross_entropy_fwdbwd_1024x50257x768", "conv3x3_fwdbwd_8x64x56x56",
                 "mlp_mnist_step_b128", "gpt_6L384_step_8x256", "gpt2_124M_step_2x256",
                 "gpt2_124M_step_2x256_bf16", "resnet18_step_b8", "compile_gpt2_124M",
                 "compile_gpt2_48L", "dispatch_1000", "import"):  # fmt: skip
        assert work in works


def test_a_line_has_the_page_s_keys():
    status, rows = lines("softmax_8x33", "--threads", "1")
    assert status == 0
    row = rows[0]
    for key in ("median", "best", "gbs", "of_limit", "of_limit_best", "cold", "peak_rss"):
        assert row[key] > 0
    assert (row["work"], row["threads"], row["kernels"], row["peers"]) == ("softmax_8x33", 1, 1, {})
    assert row["best"] <= row["median"] and row["of_limit"] <= row["of_limit_best"]
    assert row["limit_by"] in row["limits"]
    assert row["planned_bytes"] >= 0 and row["gflops"] == 0


def test_what_cannot_run_says_why_and_stops_nothing():
    python = pathlib.Path(sys.executable)
    status, rows = lines("dispatch_3", "softmax_8x33", "--peers", "torch,jax", "--python", python)
    assert [row["work"] for row in rows] == ["dispatch_3", "softmax_8x33"]
    assert status == 0 and all(row["median"] > 0 for row in rows)
    assert rows[0]["launches"] == 3
    assert rows[0]["peers"]["jax"]["error"] == "it would fuse the chain"
    for row in rows:
        for peer in row["peers"].values():
            assert "median" in peer or peer["error"]


def test_an_unknown_work_is_refused_before_anything_runs():
    result = bench("softmax_8x33", "softmix_8x33")
    assert result.returncode == 1 and result.stdout == ""
    assert "[bench] there is no work 'softmix_8x33'. hint:" in result.stderr


def test_random_results_and_state_run():
    status, rows = lines("bias_dropout_residual_ln_fwdbwd_8x33", "mlp_mnist_step_b2")
    assert status == 0 and all(row["median"] > 0 for row in rows)
