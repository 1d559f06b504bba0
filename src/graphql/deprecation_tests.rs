//! How a field is renamed without breaking anybody.

use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema, Variables};

/// A type one of whose fields has a new name.
struct OldAndNew;

#[Object]
impl OldAndNew {
    /// The path of it.
    async fn path(&self) -> &str {
        "a.b"
    }

    /// The path of it, by its former name.
    #[graphql(deprecation = "Use `path`: it is the same.")]
    async fn name(&self) -> &str {
        "a.b"
    }
}

/// How a field is renamed: the former name goes on working, tools are told what to use instead, and who does not ask for what
/// is deprecated does not see it.
#[tokio::test]
async fn a_deprecated_field_works_and_says_what_to_use() {
    let schema = Schema::new(OldAndNew, EmptyMutation, EmptySubscription);
    let query = "query ($all: Boolean) { name __type(name: \"OldAndNew\") {
        fields(includeDeprecated: $all) { name isDeprecated deprecationReason } } }";
    for (all, shown) in [(false, 1), (true, 2)] {
        let variables = Variables::from_json(serde_json::json!({ "all": all }));
        let data = schema.execute(Request::new(query).variables(variables)).await.data.into_json().unwrap();
        assert_eq!(data["name"], "a.b");
        let fields = data["__type"]["fields"].as_array().unwrap();
        assert_eq!(fields.len(), shown, "{data}");
        assert_eq!(fields[0]["isDeprecated"], false);
        if all {
            assert_eq!(fields[1]["isDeprecated"], true);
            assert_eq!(fields[1]["deprecationReason"], "Use `path`: it is the same.");
        }
    }
    assert!(schema.sdl().contains("name: String! @deprecated(reason: \"Use `path`: it is the same.\")"));
}
