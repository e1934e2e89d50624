import Grammar
import Testing

@Suite struct SchemaTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var schema: String
        var accepted: [String]
        var refused: [String]
        var testDescription: String { schema }
    }

    static let cases: [Case] = [
        Case(schema: ##"{"type":"null"}"##, accepted: ["null"], refused: ["", "nul", "true"]),
        Case(schema: ##"{"type":["boolean","null"]}"##, accepted: ["true", "false", "null"], refused: ["0"]),
        Case(schema: ##"{"type":"integer"}"##, accepted: ["0", "-12", "340"], refused: ["01", "1.0", "--1", "+1", "1e3"]),
        Case(schema: ##"{"type":"number"}"##, accepted: ["0", "-1.50", "1e9", "2.5E-07"], refused: ["1.", ".5", "01", "1e", "NaN"]),
        Case(schema: ##"{"type":"integer","minimum":-12,"maximum":105}"##, accepted: ["-12", "-1", "0", "99", "105", "100"], refused: ["-13", "-20", "106", "110", "999", "-0", "1000"]),
        Case(schema: ##"{"type":"integer","exclusiveMinimum":7}"##, accepted: ["8", "10", "99999999"], refused: ["7", "0", "-8"]),
        Case(schema: ##"{"type":"integer","maximum":-3}"##, accepted: ["-3", "-10", "-9999"], refused: ["-2", "0", "3"]),
        Case(schema: ##"{"type":"number","minimum":0.25,"exclusiveMaximum":12.5}"##, accepted: ["0.25", "0.3", "1", "12", "12.4999", "9.999999", "0.250"], refused: ["0.2", "0.2499", "12.5", "12.50", "13", "0", "-1", "100", "1e0"]),
        Case(schema: ##"{"type":"number","exclusiveMinimum":-1.5,"maximum":1e1}"##, accepted: ["-1.4", "-0.5", "0", "10", "10.0", "-1"], refused: ["-1.5", "-1.50", "-2", "10.01", "11"]),
        Case(schema: ##"{"type":"number","minimum":0,"exclusiveMinimum":true}"##, accepted: ["0.1", "5"], refused: ["0", "0.0", "-1"]),
        Case(schema: ##"{"type":"integer","format":"int32"}"##, accepted: ["2147483647", "-2147483648"], refused: ["2147483648", "-2147483649"]),
        Case(schema: ##"{"type":"string"}"##, accepted: [#""""#, #""a\n\u00e9\ud83d\ude00é😀\/""#], refused: ["a", "\"\n\"", #""\ud83d""#, #""\ude00""#, #""\x""#, "\"\u{1}\""]),
        Case(schema: ##"{"type":"string","minLength":2,"maxLength":3}"##, accepted: [#""ab""#, #""日本語""#, #""\n\ud83d\ude00""#], refused: [#""a""#, #""abcd""#, #""\u0041""#]),
        Case(schema: ##"{"type":"string","maxLength":100}"##, accepted: [#""""#, "\"" + String(repeating: "é", count: 100) + "\""], refused: ["\"" + String(repeating: "a", count: 101) + "\""]),
        Case(schema: ##"{"type":"string","pattern":"b+"}"##, accepted: [#""abc""#, #""b""#], refused: [#""ac""#, #""""#]),
        Case(schema: ##"{"type":"string","pattern":"^\"\\\\[\\n-]$"}"##, accepted: [#""\"\\\n""#, #""\"\\-""#], refused: [#""a""#]),
        Case(schema: ##"{"type":"string","pattern":"^a|b$","maxLength":2}"##, accepted: [#""a""#, #""ax""#, #""xb""#], refused: [#""xa""#, #""axx""#]),
        Case(schema: ##"{"type":"string","format":"date"}"##, accepted: [#""2024-02-29""#, #""1999-12-31""#, #""2000-02-29""#], refused: [#""2023-02-29""#, #""1900-02-29""#, #""2023-04-31""#, #""0000-01-01""#]),
        Case(schema: ##"{"type":"string","format":"date-time"}"##, accepted: [#""2024-02-29T23:59:59.5Z""#, #""1999-12-31T00:00:00+01:30""#], refused: [#""2024-02-29""#, #""2024-02-29T24:00:00Z""#, #""2024-02-29T23:59:59""#]),
        Case(schema: ##"{"type":"string","format":"ipv4"}"##, accepted: [#""127.0.0.1""#, #""255.249.199.0""#], refused: [#""256.0.0.1""#, #""01.0.0.1""#, #""1.1.1""#]),
        Case(schema: ##"{"type":"string","format":"ipv6"}"##, accepted: [#""::""#, #""::1""#, #""fe80::1:2""#, #""1:2:3:4:5:6:7:8""#], refused: [#""1:2:3:4:5:6:7""#, #""1::2::3""#, #""12345::""#]),
        Case(schema: ##"{"type":"string","format":"uuid"}"##, accepted: [#""123e4567-e89b-12d3-a456-426614174000""#], refused: [#""123e4567e89b12d3a456426614174000""#]),
        Case(schema: ##"{"type":"string","format":"email"}"##, accepted: [#""a.b+c@example.org""#], refused: [#""a@b""#, #""@b.c""#, #""a..b@c.de""#]),
        Case(schema: ##"{"type":"string","format":"uri"}"##, accepted: [#""https://example.org/a%20b?q=1#x""#], refused: [#""example.org""#, #""https://a b""#]),
        Case(schema: ##"{"type":"string","format":"time"}"##, accepted: [#""12:30:00Z""#], refused: [#""25:00:00Z""#]),
        Case(schema: ##"{"type":"string","format":"duration"}"##, accepted: [#""P1Y2M""#, #""PT5S""#, #""P3W""#], refused: [#""P""#, #""1Y""#]),
        Case(schema: ##"{"enum":["a\"b",1.50,null,[1,{"x":true}]]}"##, accepted: [#""a\"b""#, "1.50", "null", #"[1,{"x":true}]"#, "[1, {\"x\": true}]"], refused: ["1.5", "true", "[1]"]),
        Case(schema: ##"{"type":"string","enum":["a",1,"b"]}"##, accepted: [#""a""#, #""b""#], refused: ["1"]),
        Case(schema: ##"{"const":{"a":[]}}"##, accepted: [##"{"a":[]}"##, ##"{"a": []}"##], refused: ["{}"]),
        Case(schema: ##"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":true},"required":["b"]}"##,
             accepted: [##"{"b":null}"##, ##"{"a":1,"b":null}"##, "{\n  \"a\": 1,\n  \"b\": null,\n  \"c\": []\n}", ##"{ "b": null, "c": {"x":1} }"##],
             refused: ["{}", ##"{"a":1}"##, ##"{"b":null,"a":1}"##, ##"{"b":null,"d":1}"##, ##"{"b":null,}"##, ##"{,"b":null}"##, ##"{"b" :null}"##, "{\n\n\"b\":null}", "{  \"b\":null}"]),
        Case(schema: ##"{"type":"object"}"##, accepted: ["{}", ##"{"a":[1,"x",{"b":null}]}"##], refused: ["[]", ##"{"a"}"##, " {}"]),
        Case(schema: ##"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}"##,
             accepted: ["{}", ##"{"a":1}"##, ##"{"a":1,"b":"x","ab":"y"}"##, ##"{"b":"x"}"##, ##"{"":"x"}"##],
             refused: [##"{"a":"x"}"##, ##"{"b":1}"##, ##"{"b":"x","a":1}"##, ##"{"\u0061":"x"}"##]),
        Case(schema: ##"{"type":"object","patternProperties":{"^x":{"type":"integer"},"^y":{"type":"null"}},"additionalProperties":false}"##,
             accepted: ["{}", ##"{"xa":1,"y":null}"##, ##"{"y":null,"x":2}"##], refused: [##"{"xa":null}"##, ##"{"z":1}"##]),
        Case(schema: ##"{"type":"object","properties":{"xa":{"maximum":5}},"patternProperties":{"^x":{"type":"integer"}}}"##,
             accepted: [##"{"xa":5}"##, ##"{"xb":6}"##], refused: [##"{"xa":6}"##, ##"{"xa":1.5}"##, ##"{"xb":1.5}"##, ##"{"z":1}"##]),
        Case(schema: ##"{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":2,"maxProperties":2}"##,
             accepted: [##"{"a":null,"c":null}"##, ##"{"b":null,"c":null}"##], refused: ["{}", ##"{"a":null}"##, ##"{"a":null,"b":null,"c":null}"##]),
        Case(schema: ##"{"type":"object","additionalProperties":{"type":"null"},"minProperties":1,"maxProperties":2}"##,
             accepted: [##"{"a":null}"##, ##"{"a":null,"b":null}"##], refused: ["{}", ##"{"a":null,"b":null,"c":null}"##]),
        Case(schema: ##"{"type":"object","required":["z"]}"##, accepted: [##"{"z":[1]}"##, ##"{"z":1,"y":2}"##], refused: ["{}", ##"{"y":2}"##]),
        Case(schema: ##"{"type":"array"}"##, accepted: ["[]", "[1,[],{}]", "[\n1,\n2]"], refused: ["[,]", "[1,]", "[1"]),
        Case(schema: ##"{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":3}"##, accepted: ["[true,false]", "[true, true, true]"], refused: ["[]", "[true]", "[true,true,true,true]"]),
        Case(schema: ##"{"type":"array","items":{"type":"null"},"minItems":2}"##, accepted: ["[null,null]", "[null,null,null,null,null]"], refused: ["[null]"]),
        Case(schema: ##"{"type":"array","maxItems":0}"##, accepted: ["[]"], refused: ["[1]"]),
        Case(schema: ##"{"type":"array","prefixItems":[{"type":"null"},{"type":"integer"}],"items":{"type":"string"}}"##, accepted: ["[]", "[null]", "[null,1]", #"[null,1,"a","b"]"#], refused: ["[1]", "[null,null]", "[null,1,2]"]),
        Case(schema: ##"{"type":"array","prefixItems":[{"type":"null"}],"items":false}"##, accepted: ["[]", "[null]"], refused: ["[null,1]"]),
        Case(schema: ##"{"type":"array","items":[{"type":"null"}],"additionalItems":{"type":"integer"},"minItems":2}"##, accepted: ["[null,1]", "[null,1,2]"], refused: ["[null]", "[1,1]"]),
        Case(schema: ##"{"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]}"##, accepted: ["12", #""a""#], refused: [#""ab""#, "null"]),
        Case(schema: ##"{"type":"object","properties":{"a":{"type":"integer"}},"anyOf":[{"required":["a"]},{"properties":{"b":{"const":1}},"required":["b"]}]}"##,
             accepted: [##"{"a":1}"##, ##"{"b":1}"##, ##"{"a":2,"b":1}"##], refused: ["{}", ##"{"b":2}"##]),
        Case(schema: ##"{"oneOf":[{"type":"object","properties":{"k":{"const":"x"},"v":{"type":"integer"}},"required":["k"]},{"type":"object","properties":{"k":{"const":"y"}},"required":["k"]}]}"##,
             accepted: [##"{"k":"x","v":1}"##, ##"{"k":"y"}"##], refused: [##"{"k":"y","v":1}"##, ##"{"k":"z"}"##]),
        Case(schema: ##"{"oneOf":[{"type":"string"},{"type":"null"}]}"##, accepted: [#""""#, "null"], refused: ["1"]),
        Case(schema: ##"{"allOf":[{"type":"integer","minimum":3},{"maximum":5},{"$ref":"#/$defs/n"}],"$defs":{"n":{"exclusiveMaximum":5}}}"##, accepted: ["3", "4"], refused: ["2", "5"]),
        Case(schema: ##"{"allOf":[{"type":"object","properties":{"a":{"minimum":1}},"required":["a"]},{"properties":{"a":{"type":"integer"},"b":{"type":"null"}}}]}"##,
             accepted: [##"{"a":1}"##, ##"{"a":7,"b":null}"##], refused: [##"{"a":0}"##, ##"{"a":1.5}"##, "{}"]),
        Case(schema: ##"{"type":["integer","string"],"nullable":true,"title":"t","description":"d","default":1,"examples":[2],"x-order":3}"##, accepted: ["1", "null", #""""#], refused: ["true"]),
        Case(schema: ##"{"definitions":{"a/b":{"type":"object","properties":{"n":{"anyOf":[{"$ref":"#/definitions/a~1b"},{"type":"null"}]}},"required":["n"]}},"$ref":"#/definitions/a%7E1b"}"##,
             accepted: [##"{"n":null}"##, ##"{"n":{"n":{"n":null}}}"##], refused: ["null", "{}"]),
        Case(schema: ##"{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#"}},"required":["v"]}"##, accepted: [##"{"v":1,"next":{"v":2}}"##], refused: [##"{"v":1,"next":{}}"##]),
        Case(schema: ##"{"properties":{"a":{"type":"integer"}}}"##, accepted: ["{}", ##"{"a":1}"##], refused: ["1", ##"{"a":null}"##]),
        Case(schema: "true", accepted: ["1", "{}", "[[]]", #""x""#, "null"], refused: ["", "x"]),
    ]

    @Test(arguments: cases)
    func allowsWhatItShould(_ test: Case) throws {
        let grammar = try compile(schema: test.schema)
        for text in test.accepted { #expect(grammar.accepts(text.utf8), "should be allowed: \(text)") }
        for text in test.refused { #expect(!grammar.accepts(text.utf8), "should not be allowed: \(text)") }
    }

    /// Every refusal names its place.
    @Test(arguments: [
        (##"{"properties":{"a":{"not":{}}}}"##, "/properties/a/not"), (##"{"type":"number","multipleOf":2}"##, "/multipleOf"),
        (##"{"items":{"uniqueItems":true}}"##, "/items/uniqueItems"), (##"{"type":"text"}"##, "/type"), (##"{"$ref":"other.json"}"##, "/$ref"),
        (##"{"$ref":"#/$defs/x"}"##, "/$ref"), (##"{"anyOf":[]}"##, "/anyOf"), (##"{"anyOf":[3]}"##, "/anyOf/0"), (##"{"minLength":-1}"##, "/minLength"),
        (##"{"minLength":"a"}"##, "/minLength"), (##"{"pattern":"(a"}"##, "/pattern"), (##"{"pattern":"(?=a)"}"##, "/pattern"), (##"{"format":"color"}"##, "/format"),
        (##"{"oneOf":[{"type":"integer"},{"type":"number"}]}"##, "/oneOf"), (##"{"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##, "/$defs/a"),
        (##"{"properties":{"x/y":{"anyOf":[{"type":"integer","maxlength":3}]}}}"##, "/properties/x~1y/anyOf/0/maxlength"),
        (##"{"enum":["a"],"minLength":2}"##, "/minLength"), (##"{"type":"object","minProperties":2}"##, "/minProperties"),
        (##"{"patternProperties":{"a":{},"b":{}}}"##, "/patternProperties/b"), (##"{"patternProperties":{"[":{}}}"##, "/patternProperties/["),
        (##"{"minimum":1e999}"##, "/minimum"), (##"{"if":{}}"##, "/if"), (##"{"required":"a"}"##, "/required"), (##"{"properties":[]}"##, "/properties"),
        (##"{"type":"object","propertyNames":{}}"##, "/propertyNames"), (##"{"anyOf":[{"$id":"a"}]}"##, "/anyOf/0/$id"),
    ])
    func refusesByPointer(schema: String, pointer: String) {
        do {
            _ = try compile(schema: schema)
            Issue.record("\(schema) was accepted")
        } catch let error as GrammarError {
            guard case .schema(let place, let problem) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(place == pointer && !problem.isEmpty)
            #expect("\(error)".contains(pointer))
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test(arguments: ["", "{", "[]", "3", "\"a\"", "{\"type\":\"string\",\"type\":\"null\"}"])
    func refusesWhatIsNoSchema(source: String) {
        #expect(throws: GrammarError.self) { try compile(schema: source) }
    }

    @Test(arguments: [
        "false", ##"{"enum":[]}"##, ##"{"type":"integer","minimum":3,"maximum":2}"##, ##"{"type":"string","minLength":3,"maxLength":2}"##,
        ##"{"type":"array","minItems":1,"items":false}"##, ##"{"allOf":[{"type":"string"},{"type":"null"}]}"##, ##"{"type":"string","enum":[1]}"##,
        ##"{"type":"object","properties":{"a":false},"required":["a"]}"##, ##"{"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]}"##,
        ##"{"type":"string","pattern":"^a$","minLength":2}"##, ##"{"type":"object","properties":{"a":{}},"minProperties":2}"##,
        ##"{"type":"number","exclusiveMinimum":0,"maximum":0}"##,
    ])
    func aSchemaOfNothingIsAnError(schema: String) {
        #expect(throws: GrammarError.unsatisfiable) { try compile(schema: schema) }
    }
}
