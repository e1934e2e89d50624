import ChatTemplate
import Foundation
import Testing

@Suite struct TemplateDateTests {
    @Test func secondsBecomeDates() {
        #expect(TemplateDate(secondsSinceEpoch: 0) == TemplateDate(year: 1970, month: 1, day: 1))
        #expect(TemplateDate(secondsSinceEpoch: 951_782_399) == TemplateDate(year: 2000, month: 2, day: 28, hour: 23, minute: 59, second: 59))
        #expect(TemplateDate(secondsSinceEpoch: 951_782_400) == TemplateDate(year: 2000, month: 2, day: 29))
        #expect(TemplateDate(secondsSinceEpoch: -1) == TemplateDate(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59))
        #expect(TemplateDate(secondsSinceEpoch: 1_741_356_309, offset: 3600).hour == 15)
    }

    @Test func datesAgreeWithFoundation() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        let template = try ChatTemplate(source: "{{ strftime_now('%j %w') }}")
        for step in 0..<2000 {
            let seconds = step * 86_400 * 17 + step * 37
            let date = TemplateDate(secondsSinceEpoch: seconds)
            let known = Date(timeIntervalSince1970: TimeInterval(seconds))
            let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second, .weekday], from: known)
            #expect(date == TemplateDate(
                year: parts.year ?? 0, month: parts.month ?? 0, day: parts.day ?? 0, hour: parts.hour ?? 0, minute: parts.minute ?? 0,
                second: parts.second ?? 0))
            let day = calendar.ordinality(of: .day, in: .year, for: known) ?? 0
            let padded = String(repeating: "0", count: 3 - String(day).count) + String(day)
            #expect(try template.render([], date: date) == "\(padded) \((parts.weekday ?? 0) - 1)")
        }
    }
}
