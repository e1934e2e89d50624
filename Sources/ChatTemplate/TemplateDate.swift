/// What `strftime_now` shows: a date and time of day where the template's reader is.
public struct TemplateDate: Sendable, Hashable {
    public var year: Int
    /// From 1.
    public var month: Int
    /// From 1.
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// The date at `seconds` after the start of 1970 in UTC, east of Greenwich by `offset` seconds.
    public init(secondsSinceEpoch seconds: Int, offset: Int = 0) {
        let local = seconds &+ offset
        let dayCount = local.floorDivided(by: 86_400), time = local - dayCount * 86_400
        // Days to years of 400-year cycles that begin in March (Hinnant, "chrono-compatible low-level date algorithms").
        let shifted = dayCount + 719_468
        let cycle = shifted.floorDivided(by: 146_097), dayOfCycle = shifted - cycle * 146_097
        let yearOfCycle = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        self.init(
            year: yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0), month: month, day: dayOfYear - (153 * monthFromMarch + 2) / 5 + 1,
            hour: time / 3600, minute: time / 60 % 60, second: time % 60)
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// Days since the start of 1970.
    private var dayCount: Int {
        let shiftedYear = month <= 2 ? year &- 1 : year
        let cycle = shiftedYear.floorDivided(by: 400), yearOfCycle = shiftedYear &- cycle &* 400
        let dayOfYear = (153 &* (month &+ (month > 2 ? -3 : 9)) &+ 2) / 5 &+ day &- 1
        return cycle &* 146_097 &+ yearOfCycle &* 365 &+ yearOfCycle / 4 &- yearOfCycle / 100 &+ dayOfYear &- 719_468
    }

    /// From Sunday, which is 0.
    private var weekday: Int { ((dayCount % 7) + 11) % 7 }

    private var dayOfYear: Int {
        dayCount &- TemplateDate(year: year, month: 1, day: 1).dayCount &+ 1
    }

    /// As C's `strftime` has it, in English.
    func formatted(_ format: Text) throws(Fault) -> Text {
        var result = ""
        var isEscaped = false
        for scalar in format.scalars {
            if isEscaped {
                result += try field(scalar)
                isEscaped = false
            } else if scalar == "%" {
                isEscaped = true
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        guard !isEscaped else { throw Fault(.unsupported, "a date format that ends with '%'") }
        return Text(result)
    }

    private func field(_ letter: Unicode.Scalar) throws(Fault) -> String {
        func padded(_ value: Int, _ width: Int, _ filler: String = "0") -> String {
            let digits = String(value)
            return String(repeating: filler, count: max(width - digits.count, 0)) + digits
        }
        let monthName = Self.months.indices.contains(month - 1) ? Self.months[month - 1] : ""
        let dayName = Self.days[max(weekday, 0)]
        let halfHour = hour % 12 == 0 ? 12 : hour % 12
        switch letter {
        case "%": return "%"
        case "n": return "\n"
        case "t": return "\t"
        case "a": return String(dayName.prefix(3))
        case "A": return dayName
        case "b", "h": return String(monthName.prefix(3))
        case "B": return monthName
        case "d": return padded(day, 2)
        case "e": return padded(day, 2, " ")
        case "m": return padded(month, 2)
        case "y": return padded(((year % 100) + 100) % 100, 2)
        case "Y": return String(year)
        case "H": return padded(hour, 2)
        case "I": return padded(halfHour, 2)
        case "M": return padded(minute, 2)
        case "S": return padded(second, 2)
        case "f": return "000000"
        case "p": return hour < 12 ? "AM" : "PM"
        case "j": return padded(dayOfYear, 3)
        case "w": return String(weekday)
        case "u": return String(weekday == 0 ? 7 : weekday)
        // Python's `now` knows no time zone.
        case "Z", "z": return ""
        case "F": return "\(year)-\(padded(month, 2))-\(padded(day, 2))"
        case "D", "x": return "\(padded(month, 2))/\(padded(day, 2))/\(padded(((year % 100) + 100) % 100, 2))"
        case "T", "X": return "\(padded(hour, 2)):\(padded(minute, 2)):\(padded(second, 2))"
        case "R": return "\(padded(hour, 2)):\(padded(minute, 2))"
        case "c": return "\(dayName.prefix(3)) \(monthName.prefix(3)) \(padded(day, 2, " ")) \(try field("T")) \(year)"
        default: throw Fault(.unsupported, "the date field '%\(letter)' is not supported")
        }
    }
}

extension Int {
    /// Rounded towards minus infinity; `divisor` is positive.
    fileprivate func floorDivided(by divisor: Int) -> Int { self >= 0 ? self / divisor : -1 - (-1 - self) / divisor }
}
