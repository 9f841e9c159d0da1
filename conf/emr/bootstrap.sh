#!/usr/bin/env bash
# Runs on each node of an EMR 7 cluster at its start, and installs the project with its locked
# dependencies in /opt/spark_sentiment. Create the archive with:
#   git archive --format=tar.gz -o project.tar.gz HEAD && aws s3 cp project.tar.gz s3://BUCKET/spark_sentiment/
set -euo pipefail

archive=${1:?usage: bootstrap.sh s3://BUCKET/PATH/project.tar.gz}
home=/opt/spark_sentiment

sudo dnf install -y -q python3.11 python3.11-pip
sudo install -d -o "$(id -un)" "$home"
aws s3 cp --only-show-errors "$archive" - | tar -xz -C "$home" --no-same-owner

python3.11 -m pip install --quiet --user uv
cd "$home"
# Spark and Delta come from the cluster. The packages are installed for their Python modules, and
# those of spark-submit come first on the path of driver and executors.
python3.11 -m uv sync --locked --no-dev --extra sagemaker --extra sagemaker-training --quiet --python python3.11
