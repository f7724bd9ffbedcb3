//! The description of all routes (OpenAPI 3.1), made of the table of routes and the descriptor of the protocol, so that
//! it cannot say anything else than they do.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use ledger_api::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::{Map, Value, json};

use super::query::OPTIONS;
use super::routes::{Call, ROUTES, Route};

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| build().to_string().into());

/// The document, as JSON.
pub(super) fn document() -> Bytes {
    DOCUMENT.clone()
}

fn build() -> Value {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let Some(file) = files.file.iter().find(|file| file.package() == "ledger.v1") else { return json!({}) };
    let protocol = Protocol { file };
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.template).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_ascii_lowercase(), protocol.operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ledger",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Append-only streams over HTTP",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "apiKey": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": protocol.schemas(),
            "parameters": { "Store": {
                "name": "x-ledger-store", "in": "header", "required": true, "schema": { "type": "string" },
                "description": "The store (table) that the call is about.",
            }},
            "responses": { "Refused": {
                "description": "The call was not carried out, or failed.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
            }},
            "securitySchemes": { "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" } },
        },
    })
}

/// The messages and their comments.
struct Protocol<'a> {
    file: &'a FileDescriptorProto,
}

impl Protocol<'_> {
    fn operation(&self, route: &Route) -> Value {
        let mut parameters: Vec<Value> = in_path(route.template)
            .map(|name| {
                let schema = json!({ "type": "string" });
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            })
            .collect();
        if touches_store(route.call) {
            parameters.push(json!({ "$ref": "#/components/parameters/Store" }));
        }
        parameters.extend(self.query(route.call));
        let mut operation = json!({
            "operationId": format!("{:?}", route.call),
            "summary": self.summary(route.call),
            "parameters": parameters,
            "responses": {
                "200": { "description": "Done.", "content": self.answer(route.call) },
                "default": { "$ref": "#/components/responses/Refused" },
            },
        });
        if route.has_body {
            let schema = json!({ "$ref": reference(&format!("{:?}Request", route.call)) });
            insert(
                &mut operation,
                "requestBody",
                json!({ "content": { "application/json": { "schema": schema } } }),
            );
        }
        if matches!(route.call, Call::Live | Call::Ready) {
            insert(&mut operation, "security", json!([]));
        }
        operation
    }

    fn answer(&self, call: Call) -> Value {
        let schema = match call {
            Call::Subscribe => return json!({ "text/event-stream": { "schema": { "type": "string" } } }),
            Call::Metrics => {
                return json!({ "application/openmetrics-text": { "schema": { "type": "string" } } });
            }
            Call::OpenApi => json!({ "type": "object" }),
            Call::Live | Call::Ready => json!({ "$ref": reference("HealthResponse") }),
            call => json!({ "$ref": reference(&format!("{call:?}Response")) }),
        };
        json!({ "application/json": { "schema": schema } })
    }

    fn summary(&self, call: Call) -> String {
        match call {
            Call::Live => "Whether the process answers.".to_owned(),
            Call::Ready => "Whether the database answers and the daemon is not about to stop.".to_owned(),
            Call::OpenApi => "This document.".to_owned(),
            Call::Metrics => "What the daemon has counted, as Prometheus reads it.".to_owned(),
            call => {
                let name = format!("{call:?}");
                let services = (0..).zip(&self.file.service);
                let path = services.flat_map(|(service, found)| {
                    (0..)
                        .zip(&found.method)
                        .map(move |(method, found)| (found.name(), [6, service, 2, method]))
                });
                let path = path.into_iter().find(|(other, _)| *other == name);
                path.map(|(_, path)| self.comment(&path)).unwrap_or_default()
            }
        }
    }

    /// The parameters that are not in the path.
    fn query(&self, call: Call) -> Vec<Value> {
        let parameter = |name: &str, schema: Value, description: &str| json!({ "name": name, "in": "query", "schema": schema, "description": description });
        let text = || json!({ "type": "string" });
        match call {
            Call::ListStreamIDs => self.fields("ListStreamIDsRequest", ""),
            Call::Read => self.fields("ReadOptions", OPTIONS),
            Call::Subscribe => {
                let from = json!({ "type": "string", "enum": ["start", "now"], "default": "start" });
                let mut parameters = vec![
                    parameter("after", text(), "Behind this id, which need not exist."),
                    parameter("from", from, "Where to begin if `after` is not given."),
                    json!({
                        "name": "Last-Event-ID", "in": "header", "schema": text(),
                        "description": "Where the client was cut off; wins over the query.",
                    }),
                ];
                let names_a_page = |parameter: &Value| {
                    let name = parameter
                        .get("name")
                        .and_then(Value::as_str)
                        .and_then(|name| name.strip_prefix(OPTIONS));
                    matches!(name, Some("after" | "limit" | "desc" | "max_bytes"))
                };
                let conditions = self.fields("ReadOptions", OPTIONS).into_iter();
                parameters.extend(conditions.filter(|parameter| !names_a_page(parameter)));
                parameters
            }
            _ => Vec::new(),
        }
    }

    /// The fields of a message as parameters.
    fn fields(&self, message: &str, prefix: &str) -> Vec<Value> {
        let Some((index, message)) = self.message(message) else { return Vec::new() };
        let parameter = |(number, field): (i32, &FieldDescriptorProto)| {
            let schema = self.schema_of(message, field);
            let is_map = schema.get("additionalProperties").is_some();
            let mut parameter = json!({
                "name": format!("{prefix}{}", field.name()), "in": "query", "schema": schema,
                "description": self.comment(&[4, index, 2, number]),
            });
            if is_map {
                // `options.metadata_filters[key]=value`
                insert(&mut parameter, "style", json!("deepObject"));
                insert(&mut parameter, "explode", json!(true));
            }
            parameter
        };
        (0..).zip(&message.field).map(parameter).collect()
    }

    fn message(&self, name: &str) -> Option<(i32, &DescriptorProto)> {
        (0..).zip(&self.file.message_type).find(|(_, message)| message.name() == name)
    }

    fn schemas(&self) -> Value {
        let mut schemas = Map::new();
        let mut wanted: Vec<String> = Vec::new();
        for route in ROUTES.iter().filter(|route| touches_store(route.call) || route.call == Call::Health) {
            let name = format!("{:?}", route.call);
            let parts = if route.has_body { vec!["Request", "Response"] } else { vec!["Response"] };
            wanted.extend(parts.into_iter().map(|part| format!("{name}{part}")));
        }
        wanted.push("ErrorDetail".to_owned());
        let mut seen = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let enums = (0..).zip(&self.file.enum_type);
            if let Some((index, kind)) = enums.into_iter().find(|(_, kind)| kind.name() == name) {
                let values: Vec<_> = kind.value.iter().map(|value| value.name()).collect();
                let description = self.comment(&[5, index]);
                schemas.insert(name, json!({ "type": "string", "enum": values, "description": description }));
            } else if let Some((index, message)) = self.message(&name) {
                schemas.insert(name.clone(), self.schema(message, &[4, index], &mut wanted));
                for (nested, inner) in (0..).zip(&message.nested_type) {
                    if !inner.options.as_ref().is_some_and(|options| options.map_entry()) {
                        let schema = self.schema(inner, &[4, index, 3, nested], &mut wanted);
                        schemas.insert(format!("{name}.{}", inner.name()), schema);
                    }
                }
            }
        }
        schemas.insert("Error".to_owned(), error_schema());
        schemas.into()
    }

    fn schema(&self, message: &DescriptorProto, path: &[i32], wanted: &mut Vec<String>) -> Value {
        let mut properties = Map::new();
        for (number, field) in (0..).zip(&message.field) {
            let mut schema = self.schema_of(message, field);
            let comment = self.comment(&[path, &[2, number]].concat());
            if !comment.is_empty() {
                insert(&mut schema, "description", comment.into());
            }
            if let Some(name) = field.type_name.as_deref().and_then(|name| name.strip_prefix(".ledger.v1."))
                && !name.contains('.')
            {
                wanted.push(name.to_owned());
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        json!({ "type": "object", "properties": properties, "description": self.comment(path) })
    }

    fn schema_of(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
        let local = field.type_name().strip_prefix(".ledger.v1.");
        let entry = local.and_then(|name| name.rsplit('.').next()).and_then(|name| {
            message.nested_type.iter().find(|nested| {
                nested.name() == name && nested.options.as_ref().is_some_and(|options| options.map_entry())
            })
        });
        if entry.is_some() {
            return json!({ "type": "object", "additionalProperties": { "type": "string" } });
        }
        let one = match field.r#type() {
            Type::Int64 => json!({ "type": ["string", "integer"], "format": "int64" }),
            Type::Uint64 => json!({ "type": ["string", "integer"], "format": "uint64" }),
            Type::Int32 => json!({ "type": "integer", "format": "int32" }),
            Type::Bool => json!({ "type": "boolean" }),
            Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Type::Message if local.is_none() => json!({ "type": ["string", "null"], "format": "date-time" }),
            Type::Message | Type::Enum => json!({ "$ref": reference(local.unwrap_or_default()) }),
            _ => json!({ "type": "string" }),
        };
        if field.label() == Label::Repeated { json!({ "type": "array", "items": one }) } else { one }
    }

    /// The comment in front of a part of the file.
    fn comment(&self, path: &[i32]) -> String {
        let locations = self.file.source_code_info.iter().flat_map(|info| &info.location);
        let comment = locations.into_iter().find(|location| location.path == path);
        let comment = comment.map(|location| location.leading_comments()).unwrap_or_default();
        comment.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(object) = object {
        object.insert(name.to_owned(), value);
    }
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "details"],
        "properties": {
            "code": { "type": "integer", "description": "Status code of gRPC." },
            "message": { "type": "string" },
            "details": { "type": "array", "description": "Always empty.", "items": {} },
            "fact": { "$ref": reference("ErrorDetail") },
        },
    })
}

fn reference(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}

/// The names in the braces of a template.
fn in_path(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0))
}

fn touches_store(call: Call) -> bool {
    !matches!(call, Call::Health | Call::Live | Call::Ready | Call::OpenApi | Call::Metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_route_and_every_reference_leads_somewhere() {
        let document = build();
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let read = &document["paths"]["/v1/streams/{stream}/entries"]["get"];
        assert_eq!(read["summary"], "Reads one page of a stream; an unknown stream is an empty page.");
        assert_eq!(document["components"]["schemas"]["Entry"]["properties"]["orderKey"]["type"], "string");
    }
}
