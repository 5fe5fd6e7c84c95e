# One image for all programs of Darkroom; docker-compose.yml chooses the program of each container.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TF_CPP_MIN_LOG_LEVEL=2

WORKDIR /app

# A separate layer, rebuilt only when a dependency changes. All dependencies are wheels.
COPY requirements.txt .
RUN pip install --no-cache-dir --only-binary :all: --requirement requirements.txt

# The volume for pictures inherits its owner from this folder.
RUN useradd --system --create-home --uid 10001 darkroom \
    && install --directory --owner darkroom --group darkroom /data

COPY cli cli
COPY shared shared
COPY web web
COPY worker worker
COPY templates templates
COPY models models

USER darkroom
ENV DARKROOM_DATA_DIR=/data
VOLUME /data
EXPOSE 5000
