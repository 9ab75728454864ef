# How `./ship build` builds: the Dockerfile's arguments from the commit, and an OCI layout whose files depend on
# nothing else. Run by hand: VERSION=1.0.0 SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) docker buildx bake -f docker-bake.hcl

# Arguments of the Dockerfile. Empty: its own default.
variable "PYTHON_IMAGE" {
  default = ""
}

variable "DATA" {
  default = ""
}

variable "TARGET" {
  default = ""
}

variable "NAME" {
  default = ""
}

variable "VERSION" {
  default = ""
}

variable "MODEL_FORMAT" {
  default = ""
}

variable "REVISION" {
  default = ""
}

variable "CREATED" {
  default = ""
}

# The folder that holds the table, under its path DATA. Empty: this repository.
variable "SOURCE" {
  default = ""
}

# The commit of this repository, where REVISION is that of another, which the table is from.
variable "PIPELINE" {
  default = ""
}

# The host's certificate authorities, for a build behind a TLS-intercepting proxy. Empty: the base image's own.
variable "CA_BUNDLE" {
  default = ""
}

variable "DESTINATION" {
  default = "build/image.loose"
}

function "given" {
  params = [value]
  result = value != "" ? value : null
}

group "default" {
  targets = ["image"]
}

target "image" {
  context = "."
  args = {
    PYTHON_IMAGE = given(PYTHON_IMAGE)
    DATA         = given(DATA)
    TARGET       = given(TARGET)
    NAME         = given(NAME)
    VERSION      = given(VERSION)
    MODEL_FORMAT = given(MODEL_FORMAT)
    REVISION     = given(REVISION)
    CREATED      = given(CREATED)
    LICENSES     = PIPELINE != "" ? "" : null # of another's model this repository cannot say
  }
  contexts = SOURCE != "" ? { source = SOURCE } : {}
  labels   = PIPELINE != "" ? { "com.shipshape.pipeline.revision" = PIPELINE } : {}
  secret = CA_BUNDLE != "" ? ["id=ca,src=${CA_BUNDLE}"] : []
  # Attestations carry the time of the build: they hang beside the image, never inside its digest.
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
  # Not compressed: scripts/oci/packing.py does that, the same way whichever BuildKit built it.
  output = ["type=oci,dest=${DESTINATION},tar=false,rewrite-timestamp=true,compression=uncompressed,force-compression=true"]
}
