"""A checkpoint folder becomes one ONNX file whose vectors are those of the library it came from."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers.checkpoints import tiny_checkpoint
from safetensors.numpy import load_file, save_file

from spark_sentiment.embedding import checkpoint
from spark_sentiment.embedding.bert import embed_texts
from spark_sentiment.embedding.convert import convert
from spark_sentiment.embedding.graph import build
from spark_sentiment.errors import CheckpointError

TEXTS = ["I love this dress, it fits well!", "too small"]

# First four numbers of the mean of token vectors, from transformers 5.23 (AutoModel on the folder
# that tiny_checkpoint writes, tokens from its tokenizer.json, one text at a time).
ROBERTA = [[-1.426922, -0.590109, -1.815706, -0.376119], [-1.584117, -0.694221, -1.845314, -0.479363]]  # fmt: skip  # noqa: E501
MEANS = {
    "bert": [[-0.696075, -0.486441, -0.245171, -0.870789], [-0.641896, -1.245742, -0.26352, -0.296199]],  # noqa: E501
    "camembert": ROBERTA,
    "distilbert": [[3.355116, -1.440997, 0.05415, 0.425677], [1.249405, -0.284663, 0.10678, -1.511504]],  # noqa: E501
    "electra": [[-0.393118, 1.259827, -0.753697, 1.305904], [-0.29831, 1.4369, -0.860514, 1.211806]],  # noqa: E501
    "mpnet": [[-0.755638, 1.318319, -0.721454, -1.293447], [-0.877758, 1.28214, -0.723803, -1.089892]],  # noqa: E501
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}  # fmt: skip

# From sentence-transformers 6.2 (torch f32) on the same weights: the first six numbers of each
# vector, and the cosine of each text with the first three.
MINILM = {
    "hello world": [-0.034477, 0.031023, 0.006735, 0.026109, -0.039362, -0.160302],
    "I love this dress! It fits perfectly.": [-0.054485, 0.078275, 0.035953, 0.000349, -0.011694, -0.034191],  # noqa: E501
    "": [-0.118838, 0.048299, -0.002548, -0.011011, 0.051951, 0.010292],
    "Didn\u2019t fit; returned it.\r\n\r\nSad \U0001f60d caf\u00e9": [0.01125, 0.048792, 0.051724, 0.031925, 0.073203, 0.000855],  # noqa: E501
    "NO": [-0.059094, -0.005356, 0.039585, 0.025883, 0.034556, -0.040203],
    "word " * 300: [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794, 0.02372],
}  # fmt: skip
COSINES = [
    [1.0, 0.10481999814510345, 0.33379000425338745],
    [0.10481999814510345, 1.0, 0.002859999891370535],
    [0.33379000425338745, 0.002859999891370535, 1.0],
    [0.2182600051164627, 0.3486599922180176, 0.12817999720573425],
    [0.19589999318122864, -0.05235999822616577, 0.5031999945640564],
    [0.18780000507831573, -0.003700000001117587, 0.10119999945163727],
]


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("SPARK_SENTIMENT_CACHE", str(folder))
        yield folder


class TestVectors:
    @pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
    @pytest.mark.parametrize("family", sorted(MEANS))
    def test_every_family_agrees_with_transformers(
        self, family: str, engine: str, tmp_path: Path
    ) -> None:
        path = tiny_checkpoint(tmp_path / family, family, normalize=False)
        found = embed_texts(TEXTS, path, engine=engine, precision="f32")
        np.testing.assert_allclose(found[:, :4], MEANS[family], atol=2e-5)

    @pytest.mark.parametrize(
        ("pooling", "expected"),
        [
            ("cls", [-0.650785, -0.716937, -0.240988, -0.968073]),
            ("max", [-0.584598, -0.215222, -0.195478, -0.587938]),
        ],
    )
    def test_pooling_comes_from_the_checkpoint_or_the_caller(
        self, pooling: str, expected: list[float], tmp_path: Path
    ) -> None:
        told = tiny_checkpoint(tmp_path / "told", pooling=pooling, normalize=False)
        found = embed_texts(TEXTS, told, precision="f32")
        np.testing.assert_allclose(found[0, :4], expected, atol=2e-5)  # transformers 5.23
        silent = tiny_checkpoint(tmp_path / "silent", normalize=False)
        asked = embed_texts(TEXTS, silent, pooling=pooling, precision="f32")
        np.testing.assert_allclose(asked, found, atol=1e-6)

    def test_normalised_vectors_are_the_same_at_length_one(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m")
        plain = embed_texts(TEXTS, path, normalize=False, precision="f32")
        lengths = np.linalg.norm(plain, axis=1, keepdims=True)
        found = embed_texts(TEXTS, path, precision="f32")
        np.testing.assert_allclose(found, plain / lengths, atol=1e-6)

    @pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
    def test_minilm_agrees_with_sentence_transformers(self, engine: str) -> None:
        found = embed_texts(list(MINILM), engine=engine, precision="f32")
        np.testing.assert_allclose(found[:, :6], list(MINILM.values()), atol=3e-6)
        np.testing.assert_allclose(found @ found[:3].T, COSINES, atol=1e-5)

    def test_auto_precision_stays_close_to_f32(self) -> None:
        exact = embed_texts(list(MINILM), precision="f32")
        found = embed_texts(list(MINILM))
        assert (found * exact).sum(axis=1).min() > 0.999

    def test_longest_text_of_the_checkpoint_fits_and_more_is_cut(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m", "roberta")
        long = ["soft " * 200, "soft " * 60]  # 62 tokens with the two special ones: all there is
        whole = embed_texts(long, path, max_length=62)
        np.testing.assert_allclose(whole[0], whole[1], atol=1e-6)
        assert not np.allclose(whole[0], embed_texts(long, path)[0], atol=1e-4)  # 32 by default
        with pytest.raises(CheckpointError, match=r"maxLength is 63.*ends at 62"):
            embed_texts(long, path, max_length=63)


class TestFile:
    def test_file_is_one_that_every_engine_reads(self, tmp_path: Path) -> None:
        source = checkpoint.read(Path(tiny_checkpoint(tmp_path / "m")))
        model = build(source, "mean", normalize=True)
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version <= 9
        assert [item.version for item in model.opset_import] == [17]
        names = [item.name for item in model.graph.input]
        assert names == ["input_ids", "attention_mask", "token_type_ids"]
        assert [item.name for item in model.graph.output] == ["last_hidden_state"]

    def test_second_conversion_finds_the_first(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m")
        first = convert(path)
        written = first.model.stat().st_mtime_ns
        assert convert(path) == first
        assert first.model.stat().st_mtime_ns == written

    def test_fingerprint_follows_what_decides_the_vector(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m")
        copied = shutil.copytree(path, tmp_path / "elsewhere")
        assert convert(str(copied)).fingerprint == convert(path).fingerprint
        weights = load_file(copied / "model.safetensors")
        weights["embeddings.LayerNorm.bias"][0] += 1
        save_file(weights, copied / "model.safetensors")
        prints = {
            convert(path).fingerprint,
            convert(path, pooling="cls").fingerprint,
            convert(path, normalize=False).fingerprint,
            convert(path, num_layers=1).fingerprint,
            convert(str(copied)).fingerprint,
        }
        assert len(prints) == 5
        assert convert(path, num_layers=2) == convert(path)

    @pytest.mark.parametrize("layers", [0, 3])
    def test_more_layers_than_there_are_or_none_is_refused(
        self, layers: int, tmp_path: Path
    ) -> None:
        with pytest.raises(CheckpointError, match=r"2 layers; set numLayers to 1\.\.2, not"):
            convert(tiny_checkpoint(tmp_path / "m"), num_layers=layers)

    def test_two_processes_at_once_both_end_right(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m", "distilbert", pooling="max")
        code = (
            "import sys; from spark_sentiment.embedding import convert;"
            "print(len(convert(sys.argv[1]).model.read_bytes()))"
        )
        running = [
            subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        said = [process.communicate()[0] for process in running]
        assert [process.returncode for process in running] == [0, 0]
        assert said[0] == said[1] != b""

    def test_killed_conversion_leaves_nothing_half_done(self, tmp_path: Path, cache: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m", "distilbert", pooling="cls")
        code = (
            "import os, pathlib, signal, sys; from spark_sentiment.embedding import convert\n"
            "def write(path, data):\n"
            "    open(path, 'wb').write(data[:999])\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "pathlib.Path.write_bytes = write\n"
            "convert(sys.argv[1])"
        )
        before = {entry.name for entry in cache.iterdir() if not entry.name.startswith(".")}
        killed = subprocess.run([sys.executable, "-c", code, path], check=False)
        assert killed.returncode == -signal.SIGKILL
        after = {entry.name for entry in cache.iterdir() if not entry.name.startswith(".")}
        assert after == before
        onnx.checker.check_model(onnx.load(convert(path).model))


class TestForms:
    """Weights are stored in several ways; all mean the same model."""

    def same(self, folder: Path, tolerance: float = 1e-6) -> None:
        expected = embed_texts(TEXTS, tiny_checkpoint(folder.parent / "plain"), precision="f32")
        found = embed_texts(TEXTS, str(folder), precision="f32")
        np.testing.assert_allclose(found, expected, atol=tolerance)

    def rewritten(self, folder: Path, name: Callable[[str], str]) -> None:
        tiny_checkpoint(folder)
        weights = load_file(folder / "model.safetensors")
        save_file({name(key): v for key, v in weights.items()}, folder / "model.safetensors")

    def test_prefix_of_a_larger_model(self, tmp_path: Path) -> None:
        self.rewritten(tmp_path / "m", lambda key: f"bert.{key}")
        self.same(tmp_path / "m")

    def test_layer_norm_named_as_tensorflow_does(self, tmp_path: Path) -> None:
        def older(key: str) -> str:
            return key.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")

        self.rewritten(tmp_path / "m", older)
        self.same(tmp_path / "m")

    @pytest.mark.parametrize("kind", ["F16", "BF16"])
    def test_half_precision(self, kind: str, tmp_path: Path) -> None:
        tiny_checkpoint(tmp_path / "m")
        weights = load_file(tmp_path / "m" / "model.safetensors")
        header, data = {}, b""
        for name, value in weights.items():
            half = value.astype(np.float16)
            if kind == "BF16":  # the upper half of a float32
                half = (value.view(np.uint32) >> 16).astype(np.uint16)
            span = [len(data), len(data) + half.nbytes]
            header[name] = {"dtype": kind, "shape": value.shape, "data_offsets": span}
            data += half.tobytes()
        words = json.dumps(header).encode()
        stored = len(words).to_bytes(8, "little") + words + data
        (tmp_path / "m" / "model.safetensors").write_bytes(stored)
        self.same(tmp_path / "m", 0.02 if kind == "BF16" else 0.002)

    def test_pooling_as_newer_versions_write_it(self, tmp_path: Path) -> None:
        path = Path(tiny_checkpoint(tmp_path / "m", pooling="cls"))
        (path / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
        self.same(path)

    def test_folder_without_the_sentence_parts_is_pooled_by_the_mean(self, tmp_path: Path) -> None:
        path = Path(tiny_checkpoint(tmp_path / "m"))
        shutil.rmtree(path / "1_Pooling")
        (path / "modules.json").unlink()
        source = checkpoint.read(path)
        assert (source.pooling, source.normalize) == ("mean", False)


def edit(part: str, **changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        value = json.loads((folder / part).read_text())
        (folder / part).write_text(json.dumps({**value, **changes}))

    return apply


def remove(part: str) -> Callable[[Path], None]:
    return lambda folder: (folder / part).unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def split(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.safetensors.index.json")


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def without_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors")


def other_weights(folder: Path) -> None:
    save_file({"linear.weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors")


def text(part: str, value: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / part).write_text(value)

    return apply


class TestRefusals:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (remove("config.json"), r"config\.json is missing; the folder must hold"),
            (remove("tokenizer.json"), r"tokenizer\.json is missing"),
            (remove("model.safetensors"), r"model\.safetensors is missing"),
            (pickled, r"pytorch_model\.bin is refused because it is a pickle"),
            (split, "split into several files"),
            (cut, r"model\.safetensors is damaged"),
            (without_layer, r"tensor encoder\.layer\.1\.output\.dense\.weight is missing"),
            (other_weights, r"has no tensor embeddings\.word_embeddings"),
            (text("config.json", "{"), r"config\.json is not JSON"),
            (text("config.json", "[]"), r"config\.json holds a list"),
            (text("tokenizer.json", "{}"), r"tokenizer\.json cannot be read"),
            (edit("config.json", model_type="gpt2"), r"model_type 'gpt2'; supported are bert, "),
            (edit("config.json", hidden_size=20), r"has shape \[\d+, 16\].*says \[\d+, 20\]"),
            (edit("config.json", num_attention_heads=3), "hidden_size 16 for 3 heads"),
            (edit("config.json", num_hidden_layers=None), "num_hidden_layers None"),
            (edit("config.json", hidden_act="swish"), "hidden_act 'swish'"),
            (edit("config.json", position_embedding_type="relative_key"), "relative_key"),
            (edit("config.json", is_decoder=True), "is_decoder"),
            (edit("1_Pooling/config.json", pooling_mode="lasttoken"), "asks for lasttoken; set"),
            (
                edit("1_Pooling/config.json", pooling_mode_cls_token=True),
                "asks for mean and cls; set pooling to one of mean, cls, max",
            ),
            (text("modules.json", '[{"type": "a.b.Dense"}]'), "asks for Dense"),
        ],
    )
    def test_bad_folder_is_named_with_the_part_and_the_way_out(
        self, damage: Callable[[Path], None], message: str, tmp_path: Path
    ) -> None:
        folder = Path(tiny_checkpoint(tmp_path / "broken"))
        damage(folder)
        with pytest.raises(CheckpointError, match=rf"broken: .*{message}"):
            convert(str(folder))

    def test_tokenizer_of_another_model(self, tmp_path: Path) -> None:
        folder = Path(tiny_checkpoint(tmp_path / "m"))
        weights = load_file(folder / "model.safetensors")
        words = "embeddings.word_embeddings.weight"
        weights[words] = weights[words][:50]
        save_file(weights, folder / "model.safetensors")
        edit("config.json", vocab_size=50)(folder)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json has token id .* 50 tokens"):
            convert(str(folder))

    def test_wrong_checksum(self, tmp_path: Path) -> None:
        path = tiny_checkpoint(tmp_path / "m")
        right = checkpoint.sha256(Path(path, "model.safetensors"))
        assert convert(path, checksum=right.upper()).width == 16
        with pytest.raises(CheckpointError, match=rf"has SHA-256 {right}, expected 00"):
            convert(path, checksum="00")

    def test_packaged_weights_are_always_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checkpoint, "PACKAGE_SHA256", "0" * 64)
        with pytest.raises(CheckpointError, match="expected 0000"):
            convert()

    def test_missing_folder_package_or_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(CheckpointError, match="/no/where: there is no such folder"):
            convert("/no/where")
        monkeypatch.setattr(checkpoint.jvm, "current_session", lambda: None)
        with pytest.raises(CheckpointError, match="no Spark session is active"):
            convert("s3a://bucket/model")
        monkeypatch.setattr(checkpoint, "PACKAGE", "no_such_package")
        with pytest.raises(CheckpointError, match="no_such_package is not installed"):
            convert()
