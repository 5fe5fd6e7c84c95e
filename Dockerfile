# Three images: `web` for the programs without a model, `gpu` for workers on an NVIDIA GPU, and `worker` with TensorFlow
# and OpenVINO, the default.
# docker-compose.yml chooses the program of each container.
FROM scratch AS code
COPY cli cli
COPY shared shared
COPY web web
COPY worker worker
COPY templates templates
COPY models models

FROM python:3.12-slim AS base
LABEL org.opencontainers.image.title="Darkroom" \
      org.opencontainers.image.description="Self-hosted image classification" \
      org.opencontainers.image.licenses="MIT"
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    DARKROOM_DATA_DIR=/data
# The volume for pictures inherits its owner from this folder.
RUN useradd --system --create-home --uid 10001 darkroom \
    && install --directory --owner darkroom --group darkroom /data
VOLUME /data
WORKDIR /app

# Dependencies are a separate layer, rebuilt only when one changes. All are wheels.
FROM base AS web
COPY requirements-web.txt .
RUN pip install --no-cache-dir --only-binary :all: --requirement requirements-web.txt
COPY --from=code / .
USER darkroom
EXPOSE 5000

FROM base AS gpu
COPY requirements-gpu.txt .
RUN pip install --no-cache-dir --only-binary :all: --requirement requirements-gpu.txt
COPY --from=code / .
# As in `darkroom up`: several processes share a GPU.
ENV TF_FORCE_GPU_ALLOW_GROWTH=true
USER darkroom

FROM base AS worker
COPY requirements.txt .
RUN pip install --no-cache-dir --only-binary :all: --requirement requirements.txt
COPY --from=code / .
USER darkroom
