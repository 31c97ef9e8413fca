# docker run ferrite/migrate is ferrite-migrate: docker run --rm ferrite/migrate migrate --source … --target …
FROM node:24-slim AS build
WORKDIR /src
COPY . .
# What npm would install from a registry, from this source.
RUN npm install --no-audit --no-fund --loglevel=error \
    && npm run build \
    && node tools/release/dist/release-stage.js /opt/ferrite-migrate

FROM node:24-slim
LABEL org.opencontainers.image.title="ferrite-migrate" \
      org.opencontainers.image.description="Moves a live Redis, Valkey or Memcached, and files, into Ferrite" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/ferrite-migrate/ferrite-migrate"
COPY --from=build /opt/ferrite-migrate /opt/ferrite-migrate
COPY tools/release/docker/healthcheck.mjs /opt/healthcheck.mjs
# Migrations and their state outlive a container in this volume; compiled code is of no use beyond one.
ENV FERRITE_MIGRATE_STATE_DIR=/data \
    XDG_CACHE_HOME=/tmp/cache \
    NODE_ENV=production
RUN mkdir /data \
    && chown 1000:1000 /data \
    && ln -s /opt/ferrite-migrate/node_modules/.bin/ferrite-migrate /usr/local/bin/ferrite-migrate
# The user `node` of the image, by number: whoever checks for root need not look names up.
USER 1000
WORKDIR /home/node
VOLUME ["/data"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "/opt/healthcheck.mjs"]
ENTRYPOINT ["ferrite-migrate"]
CMD ["--help"]
