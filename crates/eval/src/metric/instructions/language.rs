//! Which language a text is in: by its script, and of languages that share one by their commonest words.
//!
//! lm-evaluation-harness asks langdetect, which draws at random and may say another language of a short text each time. This says
//! the same always, tells some thirty languages (all that IFEval asks for among them), and takes a text in any other for the one
//! that it has most words of.

use crate::metric::first_of_greatest;
use crate::python::split;

/// The letters of a script, from one to another.
type Script = &'static [(char, char)];
/// Languages with their commonest words.
type Languages = &'static [(&'static str, &'static str)];

/// Scripts that one language alone is commonly written in.
const SCRIPTS: &[(&str, Script)] = &[
    ("ja", &[('\u{3040}', '\u{30ff}')]),
    ("ko", &[('\u{ac00}', '\u{d7af}'), ('\u{1100}', '\u{11ff}')]),
    ("zh", &[('\u{4e00}', '\u{9fff}')]),
    ("th", &[('\u{0e00}', '\u{0e7f}')]),
    ("bn", &[('\u{0980}', '\u{09ff}')]),
    ("pa", &[('\u{0a00}', '\u{0a7f}')]),
    ("gu", &[('\u{0a80}', '\u{0aff}')]),
    ("ta", &[('\u{0b80}', '\u{0bff}')]),
    ("te", &[('\u{0c00}', '\u{0c7f}')]),
    ("kn", &[('\u{0c80}', '\u{0cff}')]),
    ("ml", &[('\u{0d00}', '\u{0d7f}')]),
    ("he", &[('\u{0590}', '\u{05ff}')]),
    ("el", &[('\u{0370}', '\u{03ff}')]),
];

/// Scripts that several share, each with its languages' commonest words; of equally many the first.
const SHARED: &[(Script, Languages)] = &[
    (&[('\u{0900}', '\u{097f}')], DEVANAGARI),
    (&[('\u{0600}', '\u{06ff}'), ('\u{0750}', '\u{077f}'), ('\u{fb50}', '\u{fdff}')], ARABIC),
    (&[('\u{0400}', '\u{052f}')], CYRILLIC),
    (&[('A', 'Z'), ('a', 'z'), ('\u{00c0}', '\u{024f}'), ('\u{1e00}', '\u{1eff}')], LATIN),
];

const DEVANAGARI: Languages = &[
    ("hi", "है के में की से को और का पर यह हैं कि था भी एक लिए ने हो नहीं जो इस कर साथ"),
    ("mr", "आहे आणि च्या ते या मध्ये हे आहेत तो ती ही होते नाही असे करण्यासाठी मी तुम्ही की एक त्या साठी आपल्या"),
    ("ne", "छ र को मा छन् हो गर्न भएको लागि यो हुन्छ पनि थियो तपाईं गर्ने एक म भने सँग हामी"),
];

const ARABIC: Languages = &[
    ("ar", "في من على إلى أن هذا التي هذه ما لا هو كان مع عن الذي أو هي ذلك كل بعد"),
    ("fa", "و در به از که این است را با برای آن یک می خود تا شما کرد بر شده هم ها"),
    ("ur", "کے میں کی ہے اور سے کو کا پر نے یہ ہیں کہ ایک اس کر بھی تھا آپ لیے"),
];

const CYRILLIC: Languages = &[
    ("ru", "и в не на что с по как это к из у за от для но так его же был вы все только она"),
    ("uk", "і в не на що з як це до та від є для й але за його про ви у так або був вона"),
    ("bg", "и в на да се за от е с не са по като че ще си до но това или той как при"),
    ("mk", "и на во да се за од е со не што како но ќе ги до ова или тој при"),
];

const LATIN: Languages = &[
    (
        "en",
        "the of and to in is that it for was on are with as be this have from or by not you but they at i my we your a he she his her \
         how what if do does can will there their who when which so more than all each had has were one out up would about into many much",
    ),
    ("es", "de la que el en y los se del las un por con no una su para es al lo como más pero mi tu yo"),
    ("pt", "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao eu você"),
    ("fr", "de la le et les des en un du une que est pour qui dans pas plus au sur ne se il je vous ce avec"),
    ("it", "di e il la che in un per è una sono del non con si le dei della al come più gli ma io"),
    ("de", "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es ich sie wir du"),
    ("nl", "de van het een en in is dat op te zijn met voor niet aan er om ook als maar ik je wij naar"),
    ("sv", "och i att det som en på är av för med den till inte om ett har jag de vi du"),
    ("no", "og i det er en til på av for med den som ikke et å har jeg de vi du fra"),
    ("da", "og i at det er en til på af for med den der ikke som et har jeg de vi du fra"),
    ("fi", "ja on ei että se hän oli ovat mutta kun myös joka ole tai sen minä sinä niin kuin voi hyvin tämä"),
    ("et", "ja on ei et see oli ka kui ma ta mis aga oma või nii olen seda"),
    ("pl", "i w nie na się z do jest to że o jak ale po od za przez oraz dla są ja czy"),
    ("cs", "a je v se na že to s z do o ve jako ale pro jsem by jsou nebo tak"),
    ("ro", "de și în a la cu pe că este un o nu din care pentru mai sunt se au sau"),
    ("hu", "a az és hogy nem is egy meg van de ez volt csak mint én vagy ha"),
    ("tr", "ve bir bu da de için ile olarak daha çok olan ne gibi ben mi var ama"),
    ("vi", "và của là có trong được cho một các không với những người tôi này để đã bạn thì cũng khi"),
    ("id", "yang dan di untuk dengan dari ini itu tidak pada adalah dalam saya akan anda kami ke atau"),
    ("tl", "ang ng sa na mga at ay ko ito hindi para kung ako mo ka"),
    ("sw", "ya na wa kwa ni katika za la kuwa hii yake kama lakini pia au cha vya hiyo mimi wewe sana"),
    ("ca", "de la i el que a en les els per un una amb del no és al com més però"),
    ("hr", "i u je na se da su za od s kao ne to koji ili sam bi"),
    ("sq", "e të në dhe një me për që nga i është se nuk ka si do"),
    ("so", "oo ka iyo ku waa in ay la waxaa uu u si ah"),
    ("af", "die van en in is het nie wat op te met vir aan om hy sy ek"),
];

/// Whether texts of a language can be told.
pub(super) fn is_known(code: &str) -> bool {
    all().any(|known| known == code)
}

/// The languages that can be told, for a message.
pub(super) fn codes() -> String {
    let mut codes: Vec<&str> = all().collect();
    codes.sort_unstable();
    codes.join(", ")
}

fn all() -> impl Iterator<Item = &'static str> {
    let shared = SHARED.iter().flat_map(|(_, languages)| languages.iter().map(|(code, _)| *code));
    SCRIPTS.iter().map(|(code, _)| *code).chain(shared)
}

/// The language of a text; None where it has no letters.
pub(super) fn of(text: &str) -> Option<&'static str> {
    let is_of = |ranges: &[(char, char)], c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
    let letters = |ranges: &[(char, char)]| text.chars().filter(|c| c.is_alphabetic() && is_of(ranges, *c)).count();
    let alone = SCRIPTS.iter().map(|(code, ranges)| (letters(ranges), Ok(*code)));
    let shared = SHARED.iter().map(|(ranges, languages)| (letters(ranges), Err(*languages)));
    let first_of_most = |best: (usize, _), next: (usize, _)| if next.0 > best.0 { next } else { best };
    let (count, found) = alone.chain(shared).reduce(first_of_most)?;
    match found {
        _ if count == 0 => None,
        // Japanese is written with Chinese characters, too
        Ok("zh") if letters(SCRIPTS[0].1) > 0 => Some("ja"),
        Ok(code) => Some(code),
        Err(languages) => Some(by_words(text, languages)),
    }
}

/// Signs around words; vowels and silencers of Indian scripts are parts of them.
fn is_sign(c: char) -> bool {
    c.is_ascii_punctuation() || "।،؛؟۔«»“”„…¿¡".contains(c)
}

/// The language that has most of the words; a word that several have is shared among them.
fn by_words(text: &str, languages: &[(&'static str, &str)]) -> &'static str {
    let lower = text.to_lowercase();
    let mut counts = vec![0.0; languages.len()];
    for word in split(&lower).map(|word| word.trim_matches(is_sign)) {
        let has = |(_, common): &(&str, &str)| common.split(' ').any(|other| other == word);
        let having: Vec<usize> = (0..languages.len()).filter(|at| has(&languages[*at])).collect();
        having.iter().for_each(|at| counts[*at] += 1.0 / having.len() as f64);
    }
    languages.get(first_of_greatest(counts)).map_or("", |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told_by_script_and_words() {
        let texts = [
            ("en", "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG AND IS NOT TIRED."),
            ("en", "paris"),
            ("de", "Der schnelle Fuchs springt über den faulen Hund und ist nicht müde."),
            ("fr", "Le renard rapide saute par-dessus le chien et il n'est pas fatigué."),
            ("es", "El zorro salta sobre el perro y no se cansa, pero los gatos duermen en la casa."),
            ("pt", "A raposa não se cansa e o cão dorme em uma casa com os gatos."),
            ("it", "La volpe non si stanca e il cane dorme in una casa con i gatti."),
            ("fi", "Kettu hyppää koiran yli, mutta se ei ole väsynyt ja koira on myös iloinen."),
            ("sw", "Mbweha anaruka juu ya mbwa na hachoki, lakini paka ni katika nyumba ya mtu."),
            ("vi", "Con cáo không mệt và con chó ngủ trong một ngôi nhà với những con mèo."),
            ("ru", "Лиса прыгает через собаку и не устаёт, но кошки спят в доме."),
            ("bg", "Лисицата скача през кучето и не се уморява, но котките са в къщата."),
            ("uk", "Лисиця стрибає через собаку і не втомлюється, але коти сплять у домі та це так."),
            ("hi", "लोमड़ी कुत्ते के ऊपर से कूदती है और वह थकती नहीं है।"),
            ("mr", "कोल्हा कुत्र्यावरून उडी मारतो आणि तो थकत नाही आहे."),
            ("ne", "स्याल कुकुरमाथि उफ्रन्छ र यो थाक्दैन, यो राम्रो छ।"),
            ("ar", "الثعلب يقفز فوق الكلب في البيت من هذا المكان."),
            ("fa", "روباه از روی سگ می پرد و خسته نمی شود که این است."),
            ("ur", "لومڑی کتے کے اوپر سے کودتی ہے اور یہ نہیں تھکتی۔"),
            ("ja", "狐は犬を飛び越えて、疲れません。"),
            ("ko", "여우는 개를 뛰어넘고 지치지 않습니다."),
            ("kn", "ನರಿ ನಾಯಿಯ ಮೇಲೆ ಹಾರುತ್ತದೆ."),
        ];
        for (want, text) in texts {
            assert_eq!(of(text), Some(want), "{text}");
        }
        assert_eq!(of("123 !"), None);
        assert!(is_known("sw") && is_known("kn") && !is_known("cy"));
        assert!(codes().starts_with("af, ar, bg"));
    }
}
