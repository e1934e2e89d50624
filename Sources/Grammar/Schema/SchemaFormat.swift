/// The formats of strings and numbers that are enforced, as regular expressions for the whole string.
enum SchemaFormat {
    /// - Returns: an empty pattern for formats that say nothing about the text, `nil` for unknown ones.
    static func pattern(_ format: String) -> String? {
        switch format {
        case "date": date
        case "time": time
        case "date-time": "(?:\(date))T(?:\(time))"
        case "duration": duration
        case "email": "\(atom)(?:\\.\(atom)){0,4}@\(label)(?:\\.\(label)){1,4}"
        case "hostname": "\(label)(?:\\.\(label)){0,3}"
        case "ipv4": "\(octet)(?:\\.\(octet)){3}"
        case "ipv6": ipv6
        case "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
        case "uri": "[a-z][a-z0-9+.-]{0,15}://\(label)(?:\\.\(label)){0,4}(?::[0-9]{1,4})?(?:/\(segment)*)*(?:\\?(?:\(segment)|[/?])*)?(?:#(?:\(segment)|[/?])*)?"
        case "password", "binary", "byte": format == "byte" ? "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?" : ""
        default: nil
        }
    }

    static let names = "date, time, date-time, duration, email, hostname, ipv4, ipv6, uuid, uri, byte, int32, int64, uint32, uint64, float, double"

    static func isNumeric(_ format: String) -> Bool {
        ["int32", "int64", "uint32", "uint64", "float", "double"].contains(format)
    }

    /// The least and greatest number of a format; `nil` if there are none.
    static func bounds(_ format: String) -> (least: Decimal, greatest: Decimal)? {
        switch format {
        case "int32": (Decimal(Int64(Int32.min)), Decimal(Int64(Int32.max)))
        case "int64": (Decimal(Int64.min), Decimal(Int64.max))
        case "uint32": (.zero, .allOnes(bits: 32))
        case "uint64": (.zero, .allOnes(bits: 64))
        default: nil
        }
    }

    /// RFC 3339's full-date, with the days that months have; years from 1 on.
    private static let date: String = {
        let year = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
        let days = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        let leap = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
        return "\(year)-\(days)|\(leap)"
    }()
    /// Its full-time, without leap seconds.
    private static let time = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    private static let duration: String = {
        let time = "T(?:[0-9]{1,4}H(?:[0-9]{1,4}M(?:[0-9]{1,4}S)?)?|[0-9]{1,4}M(?:[0-9]{1,4}S)?|[0-9]{1,4}S)"
        let date = "(?:[0-9]{1,4}Y(?:[0-9]{1,4}M(?:[0-9]{1,4}D)?)?|[0-9]{1,4}M(?:[0-9]{1,4}D)?|[0-9]{1,4}D)"
        return "P(?:\(date)(?:\(time))?|\(time)|[0-9]{1,4}W)"
    }()
    private static let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}"
    /// Of a host name: it begins with a letter and does not end with a hyphen.
    private static let label = "[A-Za-z](?:[A-Za-z0-9]|-[A-Za-z0-9]){0,20}"
    private static let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    private static let segment = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
    /// RFC 4291's forms without embedded IPv4: eight groups, or fewer around one `::`.
    private static let ipv6: String = {
        let group = "[0-9a-fA-F]{1,4}"
        var forms = ["(?:\(group):){7}\(group)"]
        for before in 0...6 {
            let head = before == 0 ? "" : "(?:\(group):){\(before - 1)}\(group)"
            forms.append("\(head)::(?:\(group)(?::\(group)){0,\(6 - before)})?")
        }
        return forms.joined(separator: "|")
    }()
}
