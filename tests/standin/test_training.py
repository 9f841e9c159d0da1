"""What the local AWS trains and predicts, against the libraries run on the same numbers."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xgboost
from helpers.standin_clients import client, ended, job
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, LatentDirichletAllocation
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from spark_sentiment.sagemaker.formats import recordio, replies
from spark_sentiment.standin import StandIn
from spark_sentiment.standin.algorithms import ALGORITHMS, tables
from spark_sentiment.standin.algorithms.base import Channel, Container, Trained, Training
from spark_sentiment.standin.errors import ContainerError, JobError
from spark_sentiment.standin.storage import packed, unpacked

RECORDIO = recordio.CONTENT_TYPE
CHANCE = np.random.default_rng(5)
# Exact in the 32 bits that RecordIO has for them.
X = CHANCE.normal(size=(120, 3)).astype("float32").astype(float)
LABELS = (X @ [1.0, -2.0, 0.5] + 0.3 * CHANCE.normal(size=120) > 0).astype(float)
TARGETS = X @ [1.0, -2.0, 0.5] + 3.0
COUNTS = CHANCE.integers(0, 5, size=(60, 6)).astype(float)


def records(features: Any = X, labels: Any = None) -> bytes:
    given = [None] * len(features) if labels is None else labels
    return b"".join(
        recordio.encode(row, label=label) for row, label in zip(features, given, strict=True)
    )


def csv(*columns: Any) -> bytes:
    return "\n".join(",".join(map(repr, row)) for row in np.column_stack(columns).tolist()).encode()


def train(
    name: str, body: bytes, values: Mapping[str, object], kind: str | None = None, **more: bytes
) -> Trained:
    algorithm = ALGORITHMS[name]
    bodies = {"train": body, **more}
    channels = {key: Channel(key, kind, [value]) for key, value in bodies.items()}
    algorithm.refuse_formats(channels)
    given = algorithm.checked({key: str(value) for key, value in values.items()})
    return algorithm.train(Training(given, channels, algorithm.formats[0]))


def container(name: str, trained: Trained) -> Container:
    """Load a model as an endpoint does: out of its archive."""
    return ALGORITHMS[name].load(unpacked(packed(trained.files)))


def asked(name: str, trained: Trained, features: Any, reply: str) -> Any:
    """Ask by RecordIO, and read the answer as the library's stage does."""
    answer, _ = container(name, trained)(records(features), RECORDIO, RECORDIO)
    return replies.reply(reply).read(answer)


class TestValues:
    def test_kmeans_is_scikit_learn_s(self) -> None:
        trained = train("kmeans", records(), {"feature_dim": 3, "k": 4})
        model = KMeans(4, n_init=3, random_state=0).fit(X)
        found = asked("kmeans", trained, X, "kmeans")
        assert [place for _, place in found] == model.labels_.tolist()
        np.testing.assert_allclose(
            [distance for distance, _ in found], model.transform(X).min(axis=1), rtol=1e-5
        )
        assert trained.metrics["train:msd"] == pytest.approx(model.inertia_ / 120)

    def test_distances_of_sparse_rows_are_those_of_dense_ones(self) -> None:
        trained = train("kmeans", records(), {"feature_dim": 3, "k": 2})
        ask = container("kmeans", trained)
        sparse = b"".join(recordio.encode(row[[0, 2]], [0, 2], 3) for row in X)
        dense = records(X * [1.0, 0.0, 1.0])
        found, expected = (
            replies.reply("kmeans").read(ask(body, RECORDIO, RECORDIO)[0])
            for body in (sparse, dense)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_pca_gives_the_greatest_variance_last(self) -> None:
        values = {"feature_dim": 3, "num_components": 2, "mini_batch_size": 10}
        found = np.array(
            [row for (row,) in asked("pca", train("pca", records(), values), X, "pca")]
        )
        expected = PCA(2, svd_solver="full").fit_transform(X)[:, ::-1]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert found.var(axis=0)[0] < found.var(axis=0)[1]

    def test_a_linear_regressor_is_least_squares(self) -> None:
        values = {"predictor_type": "regressor"}
        trained = train(
            "linear-learner", records(X, TARGETS), values, validation=records(X, TARGETS)
        )
        model = LinearRegression().fit(X, TARGETS.astype("float32"))
        found = asked("linear-learner", trained, X, "linear-learner-regressor")
        np.testing.assert_allclose([one for (one,) in found], model.predict(X), rtol=1e-5)
        assert trained.metrics["validation:mse"] == pytest.approx(0.0, abs=1e-10)

    def test_a_binary_classifier_is_logistic_regression(self) -> None:
        values = {"predictor_type": "binary_classifier", "feature_dim": 3}
        trained = train("linear-learner", records(X, LABELS), values)
        model = LogisticRegression(max_iter=1000).fit(X, LABELS)
        found = asked("linear-learner", trained, X, "linear-learner-binary")
        np.testing.assert_allclose(
            [score for score, _ in found], model.predict_proba(X)[:, 1], rtol=1e-4
        )
        assert [label for _, label in found] == model.predict(X).tolist()
        name = "train:binary_classification_accuracy"
        assert trained.metrics[name] == pytest.approx(model.score(X, LABELS))

    def test_a_multiclass_classifier_has_a_score_for_each_class(self) -> None:
        labels = np.digitize(X[:, 0], [-0.5, 0.5]).astype(float)
        values = {"predictor_type": "multiclass_classifier", "num_classes": 4}
        trained = train("linear-learner", records(X, labels), values)
        model = LogisticRegression(max_iter=1000).fit(X, labels)
        found = asked("linear-learner", trained, X, "linear-learner-multiclass")
        scores = np.array([score for score, _ in found])
        np.testing.assert_allclose(scores[:, :3], model.predict_proba(X), rtol=1e-3, atol=1e-6)
        assert scores[:, 3].max() == 0.0  # a class without rows

    def test_xgboost_is_xgboost(self) -> None:
        values = {"num_round": 4, "objective": "binary:logistic", "eta": 0.3, "max_depth": 2}
        trained = train("xgboost", csv(LABELS, X), values, "text/csv", validation=csv(LABELS, X))
        parameters = {"objective": "binary:logistic", "eta": 0.3, "max_depth": 2}
        model = xgboost.train(parameters, xgboost.DMatrix(X, label=LABELS), 4)
        body, kind = container("xgboost", trained)(csv(X), "text/csv", "*/*")
        assert kind == "text/csv"
        found = [one for (one,) in replies.reply("xgboost").read(body)]
        np.testing.assert_allclose(found, model.predict(xgboost.DMatrix(X)), rtol=1e-6)
        loss = -np.log(np.where(LABELS == 1, found, 1 - np.array(found))).mean()
        assert trained.metrics["validation:logloss"] == pytest.approx(loss, rel=1e-5)

    def test_xgboost_reads_weights_of_csv_and_of_libsvm_alike(self) -> None:
        weights = np.where(LABELS == 1, 5.0, 1.0)
        values = {"num_round": 3, "objective": "binary:logistic"}
        lines = "\n".join(
            f"{label}:{weight} " + " ".join(f"{place}:{x}" for place, x in enumerate(row, start=1))
            for label, weight, row in zip(LABELS, weights, X.tolist(), strict=True)
        )
        of_csv = train("xgboost", csv(LABELS, weights, X), {**values, "csv_weights": 1}, "text/csv")
        of_libsvm = train("xgboost", lines.encode(), values)
        model = xgboost.train(
            {"objective": "binary:logistic"}, xgboost.DMatrix(X, LABELS, weight=weights), 3
        )
        expected = ",".join(map(str, model.predict(xgboost.DMatrix(X)).tolist())).encode()
        for trained in (of_csv, of_libsvm):
            assert container("xgboost", trained)(csv(X), "text/csv", "text/csv")[0] == expected

    def test_what_libsvm_leaves_out_is_missing_to_xgboost(self) -> None:
        sparse = csr_matrix(np.where(np.abs(X) > 0.5, X, 0.0))
        values = {"num_round": 3}
        lines = "\n".join(
            f"{label} "
            + " ".join(f"{i + 1}:{v}" for i, v in zip(row.indices, row.data, strict=True))
            for label, row in zip(LABELS, sparse, strict=True)
        )
        trained = train("xgboost", lines.encode(), values, "text/libsvm")
        model = xgboost.train({}, xgboost.DMatrix(sparse, LABELS), 3)
        expected = ",".join(map(str, model.predict(xgboost.DMatrix(sparse)).tolist())).encode()
        assert container("xgboost", trained)(lines.encode(), "text/x-libsvm", "")[0] == expected

    def test_xgboost_s_probabilities_of_classes_come_in_brackets(self) -> None:
        values = {"num_round": 2, "objective": "multi:softprob", "num_class": 3}
        labels = np.digitize(X[:, 0], [-0.5, 0.5])
        trained = train("sagemaker-xgboost", csv(labels, X), values, "text/csv")
        body, _ = container("xgboost", trained)(csv(X[:2]), "text/csv", "text/csv")
        assert body.startswith(b"[0.")
        (first, _), _ = replies.reply("xgboost-multiclass").read(body)
        assert sum(first) == pytest.approx(1.0)

    def test_knn_is_scikit_learn_s(self) -> None:
        values = {"feature_dim": 3, "k": 3, "predictor_type": "classifier", "sample_size": 500}
        trained = train("knn", records(X, LABELS), values)
        expected = KNeighborsClassifier(3).fit(X, LABELS).predict(X + 0.1)
        found = asked("knn", trained, X + 0.1, "knn")
        assert [label for (label,) in found] == expected.tolist()

    def test_a_random_cut_forest_is_an_isolation_forest(self) -> None:
        trained = train("randomcutforest", records(), {"feature_dim": 3, "num_trees": 50})
        model = IsolationForest(n_estimators=50, max_samples=120, random_state=0).fit(X)
        found = [score for (score,) in asked("randomcutforest", trained, X, "randomcutforest")]
        np.testing.assert_allclose(found, -model.score_samples(X), rtol=1e-6)

    @pytest.mark.parametrize("name", ["lda", "ntm"])
    def test_topics_are_scikit_learn_s(self, name: str) -> None:
        rounds = {"lda": "max_iterations", "ntm": "epochs"}[name]
        values = {"feature_dim": 6, "num_topics": 2, "mini_batch_size": 10, rounds: 2}
        model = LatentDirichletAllocation(2, doc_topic_prior=0.5, max_iter=2, random_state=0).fit(
            COUNTS
        )
        found = asked(name, train(name, records(COUNTS), values), COUNTS, name)
        np.testing.assert_allclose(
            [mixture for (mixture,) in found], model.transform(COUNTS), rtol=1e-4
        )

    def test_factorization_machines_are_stood_in_for_by_their_linear_part(self) -> None:
        values = {"feature_dim": 3, "num_factors": 2, "predictor_type": "regressor"}
        trained = train("factorization-machines", records(X, TARGETS), values)
        found = asked("factorization-machines", trained, X, "factorization-machines-regressor")
        np.testing.assert_allclose([one for (one,) in found], TARGETS, rtol=1e-4)


class TestTexts:
    LINES = ("__label__good lovely dress it fits", "__label__bad awful cloth it tears") * 10

    def trained(self, lines: tuple[str, ...] = LINES, **more: object) -> Trained:
        body = "\n".join(lines).encode()
        return train("blazingtext", body, {"mode": "supervised", **more}, validation=body)

    def test_texts_are_told_apart(self) -> None:
        trained = self.trained()
        assert trained.metrics == {"train:accuracy": 1.0, "validation:accuracy": 1.0}
        lines = b'{"source": "a lovely dress"}\n{"source": "awful", "k": 2}'
        answer, kind = container("blazingtext", trained)(lines, "application/jsonlines", "")
        assert kind == "application/jsonlines"
        good, bad = replies.reply("blazingtext").read(answer)
        assert (good[0], bad[0]) == (["__label__good"], ["__label__bad", "__label__good"])
        assert sum(bad[1]) == pytest.approx(1.0)

    def test_instances_are_answered_by_a_list(self) -> None:
        request = b'{"instances": ["lovely"], "configuration": {"k": 1}}'
        answer, _ = container("blazingtext", self.trained())(request, "application/json", "")
        assert [one["label"] for one in json.loads(answer)] == [["__label__good"]]

    def test_json_lines_train_too(self) -> None:
        lines = [{"source": line.split(" ", 1)[1], "label": line[9:12]} for line in self.LINES]
        body = "\n".join(map(json.dumps, lines)).encode()
        trained = train("blazingtext", body, {"mode": "supervised"}, "application/jsonlines")
        assert trained.metrics == {"train:accuracy": 1.0}

    def test_rare_words_are_left_out(self) -> None:
        lines = (*self.LINES, "__label__good unheard")
        settings = json.loads(self.trained(lines).files["model.json"])
        assert "unheard" not in settings["words"]
        assert "lovely" in settings["words"]

    def test_a_line_without_a_label_fails(self) -> None:
        with pytest.raises(
            JobError, match="a line of channel 'train' is not '__label__NAME words'"
        ):
            self.trained(("no label here",))


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "values", "reason"),
        [
            ("kmeans", {"feature_dim": 3}, "No value(s) were specified for 'k'"),
            ("kmeans", {"feature_dim": 3, "k": 0}, "The value '0' is not valid for the 'k'"),
            ("kmeans", {"feature_dim": 3, "k": 2, "q": 1}, "('q' was unexpected)"),
            ("kmeans", {"feature_dim": 4, "k": 2}, "feature_dim is 4, but records"),
            ("linear-learner", {}, "specified for 'predictor_type'"),
            (
                "linear-learner",
                {"predictor_type": "multiclass_classifier"},
                "num_classes must be specified",
            ),
            (
                "linear-learner",
                {"predictor_type": "binary_classifier"},
                "labels of binary_classifier must be whole numbers from 0 to 1",
            ),
            ("blazingtext", {"mode": "cbow"}, "mode 'cbow' is not supported"),
        ],
    )
    def test_hyperparameters_fail_the_job(
        self, name: str, values: dict[str, object], reason: str
    ) -> None:
        with pytest.raises(JobError) as told:
            train(name, records(X, TARGETS), values)
        assert str(told.value).startswith("ClientError: ")
        assert reason in str(told.value)

    def test_xgboost_says_what_it_does_not_take(self) -> None:
        with pytest.raises(JobError, match="AlgorithmError: XGB train call failed"):
            train("xgboost", csv(LABELS, X), {"num_round": 1, "objective": "x:y"}, "text/csv")

    def test_a_content_type_that_is_not_read_fails_the_job(self) -> None:
        with pytest.raises(JobError, match="Content-type 'text/libsvm' of channel 'train'"):
            train("kmeans", b"0 1:1", {"feature_dim": 1, "k": 1}, "text/libsvm")

    def test_a_body_of_another_form_fails_the_job(self) -> None:
        with pytest.raises(JobError, match="Unable to read data channel 'train'"):
            train("kmeans", b"1,2,3", {"feature_dim": 3, "k": 1})

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [(b"a,b,c", "text/csv", 400), (b"1,2", "text/csv", 400), (b"1", "text/other", 415)],
    )
    def test_a_body_that_cannot_be_read_is_refused(
        self, body: bytes, kind: str, status: int
    ) -> None:
        ask = container("kmeans", train("kmeans", records(), {"feature_dim": 3, "k": 1}))
        with pytest.raises(ContainerError) as told:
            ask(body, kind, "")
        assert told.value.status == status

    def test_a_model_of_another_algorithm_does_not_load(self) -> None:
        trained = train("kmeans", records(), {"feature_dim": 3, "k": 1})
        with pytest.raises(ValueError, match="a model of kmeans, not of pca"):
            container("pca", trained)


class TestTables:
    def test_the_label_of_csv_stands_first(self) -> None:
        found = tables.read([b"1,2,3\n4,5,6\n", b"7,8,9"], "text/csv")
        assert (found.features.tolist(), found.labels.tolist()) == (  # type: ignore[union-attr]
            [[2, 3], [5, 6], [8, 9]],
            [1, 4, 7],
        )

    def test_csv_can_be_without_labels(self) -> None:
        found = tables.read([b"1,2"], "text/csv;label_size=0")
        assert (found.features.tolist(), found.labels) == ([[1, 2]], None)

    def test_sparse_records_keep_their_width(self) -> None:
        body = recordio.encode([2.0], [1], 4, label=1.0) + recordio.encode([], [], 4, label=0.0)
        found = tables.read([body], RECORDIO)
        assert found.features.toarray().tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]

    def test_instances_of_json_are_rows(self) -> None:
        body = b'{"instances": [{"features": [1, 2]}, {"data": {"features": {"values": [3, 4]}}}]}'
        assert tables.request(body, "application/json").tolist() == [[1, 2], [3, 4]]


class TestJobs:
    """What is uploaded, by boto3, and what a job makes of it."""

    def run(self, aws: StandIn, name: str, **changes: Any) -> Any:
        sagemaker = client(aws, "sagemaker")
        request = job(name, aws, HyperParameters={"k": "2", "feature_dim": "3"}, **changes)
        sagemaker.create_training_job(**request)
        return ended(sagemaker, name)

    def channel(self, aws: StandIn, key: str, kind: str = "S3Prefix") -> list[dict[str, Any]]:
        source = {"S3DataType": kind, "S3Uri": f"s3://{aws.bucket}/{key}"}
        return [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]

    def put(self, aws: StandIn, key: str, body: bytes) -> None:
        client(aws, "s3").put_object(Bucket=aws.bucket, Key=key, Body=body)

    def test_a_job_goes_through_its_states_and_leaves_a_model(self, aws: StandIn) -> None:
        self.put(aws, "whole/rows", records())
        found = self.run(aws, "whole", InputDataConfig=self.channel(aws, "whole/"))
        assert found["TrainingJobStatus"] == found["SecondaryStatus"] == "Completed"
        assert [one["Status"] for one in found["SecondaryStatusTransitions"]] == [
            "Starting",
            "Downloading",
            "Training",
            "Uploading",
            "Completed",
        ]
        assert found["BillableTimeInSeconds"] == found["TrainingTimeInSeconds"] >= 1
        assert found["TrainingStartTime"] < found["TrainingEndTime"]
        artifact = f"s3://{aws.bucket}/out/whole/output/model.tar.gz"
        assert found["ModelArtifacts"] == {"S3ModelArtifacts": artifact}
        key = "out/whole/output/model.tar.gz"
        body = client(aws, "s3").get_object(Bucket=aws.bucket, Key=key)["Body"].read()
        (metric,) = found["FinalMetricDataList"]
        expected = train("kmeans", records(), {"feature_dim": 3, "k": 2})
        assert (metric["MetricName"], metric["Value"]) == (
            "train:msd",
            pytest.approx(expected.metrics["train:msd"]),
        )
        assert unpacked(body)["model.json"] == expected.files["model.json"]

    def test_every_object_below_a_prefix_is_trained_on(self, aws: StandIn) -> None:
        for name, rows in (("a", X[:50]), ("b/c", X[50:])):
            self.put(aws, f"parts/{name}", records(rows))
        self.put(aws, "parts/_SUCCESS", b"")
        found = self.run(aws, "parts", InputDataConfig=self.channel(aws, "parts/"))
        expected = train("kmeans", records(), {"feature_dim": 3, "k": 2})
        (metric,) = found["FinalMetricDataList"]
        assert metric["Value"] == pytest.approx(expected.metrics["train:msd"])

    def test_a_manifest_names_the_objects(self, aws: StandIn) -> None:
        self.put(aws, "named/yes", records())
        self.put(aws, "named/no", b"this is not RecordIO")
        self.put(
            aws, "manifest", json.dumps([{"prefix": f"s3://{aws.bucket}/"}, "named/yes"]).encode()
        )
        channel = self.channel(aws, "manifest", "ManifestFile")
        found = self.run(aws, "manifest", InputDataConfig=channel)
        assert found["TrainingJobStatus"] == "Completed"

    def test_a_failure_of_the_algorithm_is_the_job_s(self, aws: StandIn) -> None:
        self.put(aws, "wide/rows", records(COUNTS))
        found = self.run(aws, "wide", InputDataConfig=self.channel(aws, "wide/"))
        assert found["TrainingJobStatus"] == "Failed"
        assert found["FailureReason"].startswith("ClientError: feature_dim is 3, but records")
        assert "ModelArtifacts" not in found

    def test_the_next_job_can_be_told_to_fail(self, aws: StandIn) -> None:
        self.put(aws, "fails/rows", records())
        aws.fail_training("InternalServerError: by request")
        found = self.run(aws, "fails", InputDataConfig=self.channel(aws, "fails/"))
        assert (found["TrainingJobStatus"], found["FailureReason"]) == (
            "Failed",
            "InternalServerError: by request",
        )

    def test_a_job_that_takes_too_long_is_stopped(self) -> None:
        with StandIn(seconds=0.6) as aws:
            self.put(aws, "long/rows", records())
            limits = {"MaxRuntimeInSeconds": 1}
            channel = self.channel(aws, "long/")
            found = self.run(aws, "long", InputDataConfig=channel, StoppingCondition=limits)
        assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == (
            "Stopped",
            "MaxRuntimeExceeded",
        )
